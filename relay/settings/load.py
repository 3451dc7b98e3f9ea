"""Builds ``Settings`` from a file and the environment: environment over file over defaults, all problems at once.

Why not pydantic-settings: it does not know the line of a key, ignores variables that it does not know, has no index
for one entry of a list (``RELAY_SINKS__0__URL``) and reads only ``os.environ`` (docs/adr/0011-settings-loader.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from relay.core.sink import SinkConfig
from relay.core.units import UNITS_REQUIRED
from relay.settings.document import Written, parse
from relay.settings.environment import overlay
from relay.settings.errors import ConfigError, KeyPath, Problem, dotted, nearest
from relay.settings.model import Settings
from relay.settings.renamed import new_name
from relay.settings.secret_files import SecretFiles, read_secret_files, secrets_in
from relay.settings.shape import ANYTHING, Shape, sections, shape_of

_TEXTS = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list, like [a, b]",
    "list_type": "must be a list, like [a, b]",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


def load(
    path: Path | None,
    environ: Mapping[str, str],
    sinks: Mapping[str, type[SinkConfig]],
    files: SecretFiles | None = None,
) -> Settings:
    """The settings in a file (``None``: no file) and in the environment; ``sinks`` are the known types of sinks.

    Reads the file and those of secrets; ``files`` knows what they held before. Raises ``ConfigError`` with every
    problem found; only what makes the file unreadable as a whole is reported alone.
    """
    written = Written({}) if path is None else _read(path)
    if written.value is None:
        written.value = {}
    shape = shape_of(Settings, sinks)
    overlay(written, environ, shape)
    _drop_empty(written, shape)
    files = files or SecretFiles()
    read_secret_files(written, shape, files)
    settings = _validated(written, shape, sinks)
    if settings is None or written.problems:
        secrets = secrets_in(written.value, shape)
        raise ConfigError(sorted((_scrubbed(problem, secrets) for problem in written.problems), key=_by_place))
    settings.note_secret_files(written.secret_files, late=files.late)
    return settings


def _read(path: Path) -> Written:
    """The file's values. Raises ``ConfigError`` when there is no telling what the file says."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem("", f"cannot be read: {error.strerror}", file=file)]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("", "is not UTF-8 text", file=file)]) from error
    written = parse(text, file)
    unparsed = written.value is None and written.problems
    if unparsed:
        raise ConfigError(written.problems)
    if written.value is not None and not isinstance(written.value, dict):
        raise ConfigError([Problem("", "must be a mapping of sections, like 'server: {port: 8080}'", 1, file)])
    return written


def _drop_empty(written: Written, shape: Shape) -> None:
    """``sinks:`` with nothing behind it, all of it being commented out, means the default."""
    for _path, section, known in list(sections(written.value, shape)):
        for key, inner in known.keys.items():
            if inner.is_container and key in section and section[key] is None:
                del section[key]


# Validation -----------------------------------------------------------------------------------------------------


def _validated(written: Written, shape: Shape, sinks: Mapping[str, type[SinkConfig]]) -> Settings | None:
    """The settings, or ``None`` with the reasons in ``written.problems``."""
    value = dict(written.value)
    if isinstance(value.get("sinks"), list):
        configs = [_sink(written, index, item, shape, sinks) for index, item in enumerate(value["sinks"])]
        value["sinks"] = tuple(config for config in configs if config is not None)
    try:
        return Settings.model_validate(value, context=UNITS_REQUIRED)
    except ValidationError as error:
        _report(written, shape, (), error)
        return None


def _sink(
    written: Written, index: int, item: object, shape: Shape, sinks: Mapping[str, type[SinkConfig]]
) -> SinkConfig | None:
    path: KeyPath = ("sinks", index)
    if not isinstance(item, dict):
        written.report(path, "must be a mapping of keys to values, like {type: kafka}")
        return None
    kind = item.get("type")
    if kind is None:
        written.report((*path, "type"), "is required", f"known here: {', '.join(sinks)}")
        return None
    if not isinstance(kind, str) or kind not in sinks:
        written.report((*path, "type"), "unknown type of sink", nearest(str(kind), sinks))
        return None
    try:
        return sinks[kind].model_validate(item, context=UNITS_REQUIRED)
    except ValidationError as error:
        _report(written, shape, path, error)
        return None


def _report(written: Written, shape: Shape, prefix: KeyPath, error: ValidationError) -> None:
    for detail in error.errors(include_url=False):
        path = (*prefix, *(part for part in detail["loc"] if part != "[key]"))
        if path in written.unusable or (path[:-1] in written.unusable and detail["type"] == "missing"):
            continue
        at = detail.get("ctx", {}).get("at")
        written.report(
            tuple(at.split(".")) if at else path, _message(detail), _hint(detail, path, written.value, shape)
        )


def _message(detail: ErrorDetails) -> str:
    """What pydantic says, as a sentence about the key; the value itself is never part of it."""
    if detail["type"] == "string_type" and isinstance(detail["input"], list | dict):
        return f"must be text, not a {'list' if isinstance(detail['input'], list) else 'mapping of keys to values'}"
    text = _TEXTS.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
    for subject in ("Input should", "String should"):
        text = text.replace(subject, "must")
    return text


def _hint(detail: ErrorDetails, path: KeyPath, value: Any, shape: Shape) -> str:
    if detail["type"] == "extra_forbidden":
        known = _at(path[:-1], value, shape).names()
        renamed = new_name(path, known)
        return f"it is called {dotted(renamed)} now" if renamed else nearest(str(path[-1]), known)
    if detail["type"] == "string_type" and isinstance(detail["input"], int | float):
        return "put it in quotes"
    return ""


def _at(path: KeyPath, value: Any, shape: Shape) -> Shape:
    """The shape of what was written at a path."""
    for part in path:
        inner = shape.key(str(part)) if shape.kind == "section" else shape.item
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        shape = (inner or ANYTHING).for_value(value)
    return shape


def _scrubbed(problem: Problem, secrets: Iterable[str]) -> Problem:
    """The last net: a sink's own check may have quoted what it was given."""
    message = problem.message
    for secret in sorted(secrets, key=len, reverse=True):
        message = message.replace(secret, "**********")
    return Problem(problem.key, message, problem.line, problem.file, problem.hint, problem.variable)


def _by_place(problem: Problem) -> tuple[bool, int, str, str]:
    """The file's problems from top to bottom, then those of the environment."""
    return problem.variable is not None, problem.line or 0, problem.variable or "", problem.key
