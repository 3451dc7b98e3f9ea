"""Settings from the environment: ``RELAY_<SECTION>__<KEY>``, which override the file.

- ``RELAY_SERVER__PORT=80`` a key; ``RELAY_SINKS__0__URL=...`` a key of the first sink; the next index appends one.
- ``RELAY_SINKS='[{"type": "kafka"}]'`` a whole list, mapping or section as YAML or JSON: it replaces the file's.
- ``null`` takes an optional key's value away. Text is otherwise taken as it is, without YAML's quotes.
- Every other variable that begins with ``RELAY_`` is an error: a misspelt one would be ignored in silence.

Left alone are ``RESERVED`` names, ``RELAY_TEST_*`` (the project's own tests), and the variables that Kubernetes makes
for a Service whose name begins with "relay" (``RELAY_SERVICE_HOST``, ``RELAY_PORT=tcp://...``):
https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from relay.settings.document import Written, parse
from relay.settings.errors import KeyPath, Origin, Problem, dotted, variable_of
from relay.settings.renamed import new_name
from relay.settings.shape import ANYTHING, FILE_SUFFIX, Shape

PREFIX = "RELAY_"
RESERVED = frozenset({"RELAY_CONFIG"})
"""Names with another meaning: ``RELAY_CONFIG`` is the path of the configuration file, for the command line."""

_TEST_PREFIX = "RELAY_TEST_"
_SERVICE = re.compile(r"RELAY_(?:[A-Z0-9_]*[A-Z0-9]_)?SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)")
_SERVICE_LINK = re.compile(r"RELAY_(?:[A-Z0-9_]*[A-Z0-9]_)?PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?")
_LINK_VALUE = re.compile(r"(?:tcp|udp|sctp)://.*")


@dataclass(slots=True)
class _Node:
    """The variables below one path: its own text, and those of its keys."""

    name: str
    text: str | None = None
    children: dict[str, _Node] = field(default_factory=dict)

    def leaves(self) -> Iterator[_Node]:
        """The variables that were really set, here and below."""
        if self.text is not None:
            yield self
        for child in self.children.values():
            yield from child.leaves()


def overlay(written: Written, environ: Mapping[str, str], shape: Shape) -> None:
    """Lays the variables over what was written; what is wrong with them is added to ``written.problems``."""
    root = _tree(environ)
    written.value = _Overlay(written, shape).merge(root, shape, written.value, ())


def _tree(environ: Mapping[str, str]) -> _Node:
    root = _Node(PREFIX)
    for name in sorted(environ):
        if not name.startswith(PREFIX) or _is_reserved(name, environ[name]):
            continue
        node = root
        for segment in name[len(PREFIX) :].lower().split("__"):
            known_as = f"{node.name}__{segment.upper()}" if node is not root else PREFIX + segment.upper()
            node = node.children.setdefault(segment, _Node(known_as))
        node.text, node.name = environ[name], name
    return root


def _is_reserved(name: str, value: str) -> bool:
    if name in RESERVED or name.startswith(_TEST_PREFIX):
        return True
    if "__" in name:
        return False
    if _SERVICE.fullmatch(name):
        return True
    # RELAY_ADMIN_PORT=9091 is a slip for RELAY_ADMIN__PORT; only Kubernetes' own is worth ignoring.
    return bool(_SERVICE_LINK.fullmatch(name)) and (name.count("_PORT_") > 0 or bool(_LINK_VALUE.fullmatch(value)))


class _Overlay:
    """Merges variables into values, side by side with the shape that both should have."""

    def __init__(self, written: Written, root: Shape) -> None:
        self._written = written
        self._known = [PREFIX + name for name in _static_names(root)]

    def merge(self, node: _Node, shape: Shape, value: Any, path: KeyPath) -> Any:
        """The value at a path, with what the variables say about it."""
        if node.text is not None:
            value = self._read(node, shape, path)
        if not node.children:
            return value
        if shape.kind == "list":
            return self._list(node, shape, value, path)
        if shape.kind in ("section", "mapping", "choice"):
            return self._keys(node, shape, value, path)
        if shape.kind != "anything":
            self._unknown(node.children.values(), shape)
        return value

    def _read(self, node: _Node, shape: Shape, path: KeyPath) -> Any:
        origins = self._written.origins
        for stale in [known for known in origins if known[: len(path)] == path]:
            del origins[stale]
        origins[path] = Origin(variable=node.name)
        text = node.text or ""
        if shape.is_container:
            inner = parse(text, variable=node.name)
            self._written.problems += (_below(problem, path) for problem in inner.problems)
            return inner.value
        return None if shape.nullable and text == "null" else text

    def _list(self, node: _Node, shape: Shape, value: Any, path: KeyPath) -> Any:
        if value is not None and not isinstance(value, list):
            return value  # the wrong kind of value: reported where it is validated
        items = list(value or ())
        numbered = {key: child for key, child in node.children.items() if key.isdecimal() and len(key) <= 4}
        self._unknown([child for key, child in node.children.items() if key not in numbered], shape)
        for key, child in sorted(numbered.items(), key=lambda pair: int(pair[0])):
            index = int(key)
            if index > len(items):
                self._refuse(child, f"leaves a gap: the next entry of {dotted(path)} is number {len(items)}")
                continue
            merged = self.merge(
                child, shape.item or ANYTHING, None if index == len(items) else items[index], (*path, index)
            )
            items[index : index + 1] = [merged]
        return items

    def _keys(self, node: _Node, shape: Shape, value: Any, path: KeyPath) -> Any:
        if value is not None and not isinstance(value, dict):
            return value
        values = dict(value or {})
        if shape.kind == "choice" and "type" in node.children:
            values["type"] = node.children["type"].text
        shape = shape.for_value(values)
        for segment, child in node.children.items():
            key = _key_for(segment, values) if shape.kind == "mapping" else segment
            inner = ANYTHING if shape.kind == "anything" else shape.item if shape.kind == "mapping" else shape.key(key)
            if inner is None:
                self._unknown([child], shape)
                continue
            _drop_alternative(key, values, shape, node.children)
            merged = self.merge(child, inner, values.get(key), (*path, key))
            if merged is not None or child.text is not None:
                values[key] = merged
        return values

    def _unknown(self, nodes: Iterable[_Node], shape: Shape) -> None:
        for node in nodes:
            parent = node.name.rpartition("__")[0]
            parent = f"{parent}__" if parent else PREFIX
            here = [parent + key.upper() for key in shape.names()]
            if shape.kind == "list":
                self._refuse(node, "unknown variable", f"entries are numbered from 0: {parent}0")
                continue
            for leaf in node.leaves():
                self._refuse(leaf, "unknown variable", self._renamed(leaf, shape) or self._nearest(leaf, here))

    def _renamed(self, leaf: _Node, shape: Shape) -> str:
        path = tuple(leaf.name[len(PREFIX) :].lower().split("__"))
        renamed = new_name(path, shape.names())
        return f"it is called {variable_of(dotted(renamed))} now" if renamed else ""

    def _nearest(self, leaf: _Node, here: list[str]) -> str:
        match = get_close_matches(leaf.name.upper(), [*self._known, *here], n=1, cutoff=0.6)
        return f"did you mean {match[0]!r}?" if match else f"known here: {', '.join(here) or 'nothing'}"

    def _refuse(self, node: _Node, message: str, hint: str = "") -> None:
        for leaf in node.leaves():
            key = leaf.name[len(PREFIX) :].lower().replace("__", ".")
            self._written.problems.append(Problem(key, message, hint=hint, variable=leaf.name))


def _below(problem: Problem, path: KeyPath) -> Problem:
    key = ".".join(part for part in (dotted(path), problem.key) if part)
    return Problem(key, problem.message, problem.line, problem.file, problem.hint, problem.variable)


def _drop_alternative(key: str, values: dict[str, Any], shape: Shape, set_here: Mapping[str, object]) -> None:
    """A secret from the environment stands against the file's ``<key>_file``, and the other way round."""
    base = key.removesuffix(FILE_SUFFIX)
    other = base if key not in shape.keys else key + FILE_SUFFIX
    if other != key and other not in set_here:
        values.pop(other, None)


def _key_for(segment: str, values: Mapping[str, Any]) -> str:
    """The name in a mapping (a client's) that a variable means: it does not show capitals, '-' and '.'."""
    for key in values:
        if re.sub(r"[-.]", "_", key.lower()) == segment:
            return key
    return segment


def _static_names(shape: Shape) -> Iterator[str]:
    """The variables of all keys that have a fixed name."""
    for name in shape.names():
        yield name.upper()
        inner = shape.key(name)
        if inner is not None and inner.kind == "section":
            yield from (f"{name.upper()}__{rest}" for rest in _static_names(inner))
