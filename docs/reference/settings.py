"""``settings.md``: every key, from the models, with the words of ``config/relay.example.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from docs.reference.markdown import code, page, table
from relay.app.plugins import sink_configs
from relay.core.sink import SinkConfig
from relay.core.units import DURATION_UNITS, MAX_DURATION, MAX_SIZE, MILLISECOND, SIZE_UNITS
from relay.settings import ClientSettings, Settings, values
from relay.settings.reload import RELOADED

Path_ = tuple[str, ...]

INTRODUCTION: Final = """
`relay serve --config relay.yaml` reads a file of these keys; without one, the defaults count. `relay check --config
relay.yaml` says what is wrong in it, and in which line.
[`config/relay.example.yaml`](../../config/relay.example.yaml) is the same as a file to copy from.

- **Variables**: each key can be set from the environment, which then counts: the last column is its name. A list or a
  mapping takes YAML or JSON: `RELAY_SINKS='[{"type": "redis"}]'`.
- **Secrets** can stand in a file named by `<key>_file` instead (`tokens_file`, `RELAY_UPSTREAM__API_KEY_FILE`); a
  file for a list of secrets has one on each line.
- **Durations** are written `250ms`, `30s`, `5m`, `24h` or `7d`, **sizes** `512`, `1KiB`, `1MiB` or `10GiB`.
- **↻** marks what is taken over without a restart, on SIGHUP and when the file of a secret changes ([rotating
  tokens](../how-to/rotate-tokens.md)).
- An unknown key is an error that names the nearest known one; for a key that was renamed, its new name.
"""

_KEY: Final = re.compile(r"^(?P<indent> *)#?(?P<item>- )?(?P<key>[a-z_0-9]+):(?P<value>.*)$")
_COMMENT: Final = re.compile(r"^ *# (?P<text>.*)$")
_CONTINUED: Final = re.compile(r"^ {20,}# (?P<text>.*)$")

_WORDS: Final = {
    "_webhook_token": "secret: letters, digits and `._~+=-`",
    "_signing_secret": "secret: `whsec_` and base64",
    "_redis_url": "secret: a `redis://`, `rediss://` or `unix://` address",
    "_proxy_url": "secret: an `http://` or `https://` address, or `direct`",
    "_sha256": "64 hex digits",
    "_network": "network, such as `10.0.0.0/8`",
    "_host": "host or address",
    "_origin": "`https://` or `http://` address",
    "_secret": "secret",
}
"""What a validator of ``relay.settings.values`` takes, by its name; the most particular one counts."""

_LIMITS: Final = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "pattern": "", "min_length": ""}
_BASES: Final = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path", SecretStr: "secret"}
assert set(_WORDS) <= set(vars(values))


def settings_page(example: str) -> str:
    """The page; ``example`` is the text of the example configuration."""
    meaning = explained(example)
    parts = [
        f"## {name}\n\n{meaning.get((name,), '')}\n\n{_section((name,), field.annotation, meaning)}"
        for name, field in Settings.model_fields.items()
        if _is_section(field.annotation)
    ]
    single = [
        name for name, field in Settings.model_fields.items() if name != "sinks" and not _is_section(field.annotation)
    ]
    parts += [f"## {name}\n\n{_table([_row((name,), Settings.model_fields[name], meaning)])}" for name in single]
    parts.append(f"## sinks\n\n{meaning[('sinks',)]}\n\nA list; the variables name the position, here 0.")
    parts += [f"### {kind}\n\n{_sink(kind, config, meaning)}" for kind, config in sink_configs().items()]
    return page("Settings", INTRODUCTION, parts)


# The words ------------------------------------------------------------------------------------------------------


def explained(example: str) -> dict[Path_, str]:
    """What the example says of each key, by its path. A section has the comment above it, a key the one beside it."""
    found: dict[Path_, str] = {}
    above: list[str] = []
    stack: list[tuple[int, str]] = []
    path: Path_ = ()
    for line in example.splitlines():
        if path and (more := _CONTINUED.match(line)):
            found[path] += f" {more['text']}"
        elif comment := _COMMENT.match(line):
            above.append(comment["text"])
        elif key := _KEY.match(line):
            path = _path(stack, key)
            found[path] = _beside(key["value"]) or " ".join(above)
            above.clear()
        else:
            above.clear()
    return found


def _path(stack: list[tuple[int, str]], key: re.Match[str]) -> Path_:
    """Where a key stands. A sink's first key, ``- type: kafka``, opens a level under the sink's own name."""
    depth = len(key["indent"]) + (2 if key["item"] else 0)
    name = key["key"]
    while stack and stack[-1][0] >= (depth - 1 if key["item"] else depth):
        stack.pop()
    if key["item"]:
        stack.append((depth - 1, key["value"].split()[0]))
    stack.append((depth, name))
    return tuple(part for _, part in stack)


def _beside(value: str) -> str:
    return value.partition(" # ")[2].strip()


# The tables -----------------------------------------------------------------------------------------------------


def _section(path: Path_, model: Any, meaning: Mapping[Path_, str]) -> str:
    return _table(list(_rows(path, model, meaning)))


def _rows(path: Path_, model: type[BaseModel], meaning: Mapping[Path_, str]) -> Iterator[list[str]]:
    for name, field in model.model_fields.items():
        inner = (*path, name)
        if section := _section_in(field.annotation):
            yield from _rows(inner, section, meaning)
        elif inner == ("proxy", "clients"):
            yield [
                code("proxy.clients"),
                "mapping of names to clients",
                code("{}"),
                "",
                meaning[inner] + " ↻",
                _variable(inner),
            ]
            yield from _rows((*inner, "web"), ClientSettings, meaning)
        else:
            yield _row(inner, field, meaning)


def _sink(kind: str, config: type[SinkConfig], meaning: Mapping[Path_, str]) -> str:
    rows = []
    for name, field in config.model_fields.items():
        if name != "type":
            row = _row(("sinks", kind, name), field, meaning)
            reloaded = " ↻" if name in config.RELOADED else ""
            rows.append([code(name), *row[1:-2], row[-2] + reloaded, _variable(("sinks", "0", name))])
    return _table(rows)


def _row(path: Path_, field: FieldInfo, meaning: Mapping[Path_, str]) -> list[str]:
    kind, limits = _described(field.annotation, list(field.metadata))
    name = ".".join(path)
    reloaded = " ↻" if name in RELOADED or path[:2] == ("proxy", "clients") else ""
    shown = name.replace(".web.", ".<name>.")
    return [code(shown), kind, _default(field, kind), limits, meaning[path] + reloaded, _variable(path)]


def _table(rows: list[list[str]]) -> str:
    return table(["key", "takes", "default", "range", "what it is for", "variable"], rows)


def _variable(path: Path_) -> str:
    return code("RELAY_" + "__".join(part.upper() for part in path))


def _default(field: FieldInfo, kind: str) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    if value is None and kind == "":
        return ""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if kind.startswith("duration") and value is not None:
        return code(format_duration(value))
    if kind.startswith("size") and value is not None:
        return code(format_size(value))
    if value is None or isinstance(value, bool):
        return code(str(value).lower().replace("none", "null"))
    if value == ():
        return code("[]")
    return code(f"{value:g}" if isinstance(value, float) else str(value))


# The types ------------------------------------------------------------------------------------------------------


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """A section, also one that may be left out."""
    parts = get_args(annotation) if NoneType in get_args(annotation) else (annotation,)
    return next((each for each in parts if _is_section(each)), None)


def _described(annotation: Any, metadata: list[Any]) -> tuple[str, str]:
    """What a field takes, and its range, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _described(arguments[0], [*metadata, *arguments[1:]])
    if origin in (Union, UnionType) and NoneType in arguments:
        kind, limits = _described(next(each for each in arguments if each is not NoneType), metadata)
        return f"{kind}, or null", limits
    if origin is tuple:
        kind, limits = _described(arguments[0], metadata)
        return f"list of: {kind}", limits
    if origin is Literal:
        return ", ".join(map(code, arguments)), ""
    metadata = [part for each in metadata for part in (each.metadata if isinstance(each, FieldInfo) else [each])]
    return _word(annotation, metadata), _range(annotation, metadata)


def _word(annotation: Any, metadata: list[Any]) -> str:
    names = {getattr(getattr(each, "func", None), "__name__", "") for each in metadata}
    if "_read_duration" in names:
        return "duration"
    if "_read_size" in names:
        return "size"
    return next((word for name, word in _WORDS.items() if name in names), _BASES.get(annotation, "text"))


def _range(annotation: Any, metadata: list[Any]) -> str:
    kind = _word(annotation, metadata)
    limits = {name: value for each in metadata for name in _LIMITS if (value := getattr(each, name, None)) is not None}
    if "pattern" in limits:
        return code(limits["pattern"])
    if kind in ("duration", "size"):  # the bounds that all of them have say nothing about this one
        limits = {
            name: value for name, value in limits.items() if value not in (0, MAX_DURATION, MAX_SIZE) or name == "gt"
        }
    write = {"duration": format_duration, "size": format_size}.get(kind, "{:g}".format)
    bounds = [f"{_LIMITS[name]} {write(limits[name])}" for name in _LIMITS if name in limits and name != "min_length"]
    return ", ".join([*bounds, *(["not empty"] if "min_length" in limits else [])])


def format_duration(seconds: float) -> str:
    """The shortest text that ``parse_duration`` turns back into exactly these seconds (0 to ``MAX_DURATION``)."""
    if seconds == 0:
        return "0s"
    amount = Decimal(repr(float(seconds)))
    for unit, factor in DURATION_UNITS.items():
        if amount % factor == 0:
            return f"{amount / factor:.0f}{unit}"
    if amount % MILLISECOND == 0:
        return f"{amount / MILLISECOND:.0f}ms"
    return f"{amount:f}s"


def format_size(size: int) -> str:
    """The shortest text that ``parse_size`` turns back into this number of bytes (0 to ``MAX_SIZE``)."""
    for unit, factor in SIZE_UNITS.items():
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return "0B"
