"""Formats values for people: durations, sizes, instants. Pure, but for the clock that "ago" needs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(seconds: float) -> str:
    """In its two largest units: ``640ms``, ``1.2s``, ``3m 5s``, ``2h 10m``, ``4d 3h``; what is negative is ``0ms``."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{int(seconds)}s"
    place = next(place for place, (_, size) in enumerate(_UNITS) if seconds >= size)
    (unit, size), (lesser, part) = _UNITS[place : place + 2]
    rest = int(seconds % size) // part
    return f"{int(seconds) // size}{unit}" + (f" {rest}{lesser}" if rest else "")


def size(count: int) -> str:
    """Bytes in the largest unit: ``512 B``, ``3.2 MiB``, ``41 GiB``."""
    value, place = float(count), 0
    while value >= 1024 and place < len(_SIZES) - 1:
        value, place = value / 1024, place + 1
    return f"{value:.1f} {_SIZES[place]}" if place and value < 10 else f"{value:.0f} {_SIZES[place]}"


def counted(number: int, one: str) -> str:
    """``1 event``, ``2 events``."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def searched(page: Mapping[str, Any]) -> str:
    """How far back a sorted list goes, where that is not to the end."""
    return f", of those since {page['searched_since']}" if page["searched_since"] else ""


def age(instant: str) -> str:
    """How long ago an RFC 3339 instant is, in its largest unit."""
    return _in_words(-_from_now(instant))


def until(instant: str) -> str:
    """In how long an RFC 3339 instant is, in its largest unit; ``now`` where it is past."""
    seconds = _from_now(instant)
    return f"in {_in_words(seconds)}" if seconds >= 1 else "now"


def _from_now(instant: str) -> float:
    from relay.core.clock import parse_rfc3339

    return parse_rfc3339(instant) / 1000 - time.time()


def _in_words(seconds: float) -> str:
    seconds = max(0, int(seconds))
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds // size}{unit}"
