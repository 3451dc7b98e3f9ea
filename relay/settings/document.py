"""Turns YAML text into plain values, with the line of every key. Pure; stricter than PyYAML's own loading.

Scalars follow YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema): ``off`` is a word and not a
boolean, ``1:30`` no number, ``2024-01-01`` no date. A key that is given twice is an error instead of a surprise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from relay.settings.errors import KeyPath, Origin, Problem, dotted

_TAG = "tag:yaml.org,2002:"
_QUOTATION = re.compile(r"'([^']*)'")
_HARMLESS = re.compile(r"[^\w\s]|<[a-z ]+>")


class _CoreLoader(yaml.SafeLoader):
    """Composes nodes; never constructs objects."""


# PyYAML's own resolvers are those of YAML 1.1, where `off` is false and `1:30` is 90.
_CoreLoader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,400}", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(_TAG + _kind, re.compile(rf"^(?:{_pattern})$"), _first)


@dataclass(slots=True)
class Written:
    """What was written, where each part of it was, and what is wrong with it so far.

    ``unusable`` holds the sections in which a secret's file could not be read, so that its absence is not reported too;
    ``secret_files`` are those that were named.
    """

    value: Any
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unusable: set[KeyPath] = field(default_factory=set)
    secret_files: list[str] = field(default_factory=list)

    def origin(self, path: KeyPath) -> Origin:
        """Where the value at a path was written, or the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return Origin()

    def report(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Notes a problem with the value at a path."""
        origin = self.origin(path)
        self.problems.append(Problem(dotted(path), message, origin.line, origin.file, hint, origin.variable))


def parse(text: str, file: str | None = None, variable: str | None = None) -> Written:
    """The values of one YAML (or JSON) document; an empty one is ``None``. Never raises.

    What is not YAML at all leaves a problem and the value ``None``. ``file`` or ``variable`` say where it came from.
    """
    written = Written(None)
    try:
        loader = _CoreLoader(text)
        node = loader.get_single_node()
        if node is not None:
            written.value = _Reader(written, file, variable).read(node, ())
    except yaml.MarkedYAMLError as error:
        written.problems.append(_syntax_problem(error, file, variable))
    except (yaml.YAMLError, RecursionError):
        written.problems.append(Problem("", "is not YAML: it contains unreadable characters", None, file, "", variable))
    return written


def _syntax_problem(error: yaml.MarkedYAMLError, file: str | None, variable: str | None) -> Problem:
    """Where the syntax breaks. PyYAML's quotations of the text are left out: they may be parts of a secret."""
    what = _QUOTATION.sub(_unquoted, (error.problem or "syntax error").removeprefix("but "))
    mark = error.problem_mark or error.context_mark
    column = f" (column {mark.column + 1})" if mark else ""
    line = mark.line + 1 if mark and file else None
    return Problem("", f"is not valid YAML{column}: {what}", line, file, "check indentation and quotes", variable)


def _unquoted(match: re.Match[str]) -> str:
    return match[0] if _HARMLESS.fullmatch(match[1]) else "..."


class _Reader:
    """Turns nodes into values."""

    def __init__(self, written: Written, file: str | None, variable: str | None) -> None:
        self._written = written
        self._file = file
        self._variable = variable
        self._open: set[int] = set()

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        self._mark(path, node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._written.report(path, "is an alias that contains itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mark(self, path: KeyPath, node: yaml.Node) -> None:
        line = node.start_mark.line + 1 if self._file else None
        self._written.origins.setdefault(path, Origin(self._file, line, self._variable))

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._written.report(path, "has a key that is not plain text")
                continue
            key = key_node.value
            place = (*path, key)
            if key in values:
                self._duplicate(place, key_node)
                continue
            self._mark(place, key_node)
            values[key] = self.read(value_node, place)
        return values

    def _duplicate(self, place: KeyPath, key_node: yaml.ScalarNode) -> None:
        first = self._written.origins[place].line
        where = f", first on line {first}" if first else ""
        line = key_node.start_mark.line + 1 if self._file else None
        self._written.problems.append(
            Problem(dotted(place), f"is given twice{where}", line, self._file, "keep one of them", self._variable)
        )

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        kind = node.tag.removeprefix(_TAG)
        text = node.value
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if kind != "str":
            self._written.report(path, "has a YAML tag, which is not supported", "remove the tag")
        return text
