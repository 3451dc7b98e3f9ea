"""Durations and sizes as people write them in the configuration, for settings and for the sinks' own keys.

A model takes numbers too (seconds, bytes), since its defaults are numbers. A *written* duration needs its unit,
because ``chunk_interval: 250`` would otherwise be taken for minutes by one reader and for milliseconds by another: the
loader of the configuration validates with ``context=UNITS_REQUIRED``.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationInfo

UNITS_REQUIRED: Final[dict[str, Any]] = {"units": "required"}
"""A pydantic validation context under which a ``Duration`` refuses bare numbers other than 0."""

MAX_DURATION: Final = 36_500 * 86_400.0
"""A hundred years in seconds: far enough, and no sum with an instant leaves the range of RFC 3339."""

MAX_SIZE: Final = 2**63 - 1
"""The largest size in bytes that SQLite and the operating system can express."""

DURATION_UNITS: Final = {"d": Decimal(86_400), "h": Decimal(3600), "m": Decimal(60), "s": Decimal(1)}
MILLISECOND: Final = Decimal("0.001")
SIZE_UNITS: Final = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}

_DURATION: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,40})?) ?(ms|s|m|h|d)", re.ASCII)

_SIZE: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,40})?) ?(B|[KMGT]iB)?", re.ASCII)
_MEANT_BINARY: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,40})?) ?([KMGT])i?B?", re.ASCII | re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Seconds of ``250ms``, ``1.5s``, ``5m``, ``24h`` or ``7d``; ``0`` needs no unit.

    ``ValueError`` for anything else (a missing or unknown unit, a sign, several units) and beyond ``MAX_DURATION``.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(_why_no_duration(text))
    number, unit = match.groups()
    seconds = float(Decimal(number) * (MILLISECOND if unit == "ms" else DURATION_UNITS[unit]))
    if seconds > MAX_DURATION:
        raise ValueError("a duration is at most 36500d")
    return seconds


def parse_size(text: str) -> int:
    """Bytes of ``512``, ``512B``, ``1KiB``, ``1.5MiB``, ``10GiB`` or ``1TiB``; units are powers of 1024.

    ``ValueError`` for anything else, for a part of a byte, and beyond ``MAX_SIZE``. ``1MB`` is refused: half of its
    readers take it for 1,000,000 bytes, the other half for 1,048,576.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(_why_no_size(text))
    number, unit = match.groups()
    size = Decimal(number) * SIZE_UNITS[unit or "B"]
    if size % 1:
        raise ValueError("a size is a whole number of bytes")
    if size > MAX_SIZE:
        raise ValueError("a size is less than 8388608TiB")
    return int(size)


def _why_no_duration(text: str) -> str:
    if text.isdecimal() and text.isascii() and len(text) <= 20:
        return f"has no unit: write {text}s or {text}ms"
    return "must be a duration: a number and one of ms, s, m, h, d, like 250ms, 30s or 7d"


def _why_no_size(text: str) -> str:
    meant = _MEANT_BINARY.fullmatch(text)
    if meant is not None:
        return f"must have a unit of KiB, MiB, GiB or TiB (powers of 1024): write {meant[1]}{meant[2].upper()}iB"
    return "must be a size: a number of bytes, or a number and one of KiB, MiB, GiB, TiB, like 1MiB"


def _read_duration(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, bool):
        raise ValueError(_why_no_duration(""))
    if isinstance(value, int | float) and value and (info.context or {}).get("units") == "required":
        raise ValueError(f"has no unit: write {value}s or {value}ms")
    return value


def _read_size(value: object) -> object:
    if isinstance(value, str):
        return parse_size(value)
    if isinstance(value, bool):
        raise ValueError(_why_no_size(""))
    return value


Duration = Annotated[float, Field(ge=0, le=MAX_DURATION, allow_inf_nan=False), BeforeValidator(_read_duration)]
"""A field of a pydantic model: written ``250ms``, ``30s``, ``5m``, ``24h``, ``7d``; held in seconds."""

Size = Annotated[int, Field(ge=0, le=MAX_SIZE), BeforeValidator(_read_size)]
"""A field of a pydantic model: written ``512``, ``1KiB``, ``1MiB``, ``10GiB``; held in bytes."""
