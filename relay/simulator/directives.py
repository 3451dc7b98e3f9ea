"""Parses the directives of the request header ``X-Simulate``: ``late=2s, doubled``, in any order and case."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from random import Random
from typing import TypeVar

from relay.simulator.rates import Faults

HEADER = "X-Simulate"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


class UnknownFault(ValueError):
    """A word or value in ``X-Simulate`` that means nothing. The message lists what would."""


class Directed:
    """What directives make of one answer or task: a dataclass with a field for each, false where not asked for."""

    __slots__ = ()

    def directives(self) -> tuple[str, ...]:
        """What is not as usual, as the header would name it."""
        named = fields(self)  # type: ignore[arg-type]  # each kind is a dataclass
        return tuple(field.name.replace("_", "-") for field in named if getattr(self, field.name))


def directives_in(header: str) -> dict[str, str | None]:
    """The directives of a header with their values, ``_`` for ``-``; ``none`` is left out: it asks for nothing."""
    named: dict[str, str | None] = {}
    for item in filter(None, (part.strip() for part in header.split(","))):
        word, _, value = item.partition("=")
        named[word.strip().lower().replace("-", "_")] = value.strip() or None
    named.pop("none", None)
    return named


D = TypeVar("D", bound=Directed)
Reader = Callable[[str | None, Faults], object]
"""Reads the value of one word (``None``: the word alone); the faults have the default delays."""


def made(kind: type[D], named: Mapping[str, str | None], readers: Mapping[str, Reader], faults: Faults) -> D:
    """What these directives make of an answer. Raises ``UnknownFault`` for an unknown word, or an invalid value."""
    read: dict[str, object] = {}
    for word, value in named.items():
        reader = readers.get(word)
        if reader is None:
            listed = ", ".join(["none", *(name.replace("_", "-") for name in readers)])
            raise UnknownFault(f"{HEADER} does not know {word.replace('_', '-')!r}. It knows: {listed}.")
        read[word] = reader(value, faults)
    return kind(**read)  # each reader gives its own field's type


def struck(rng: Random, faults: Faults, directives: Iterable[str]) -> dict[str, str | None]:
    """The directives that strike. One number is drawn per word, so a rate that changes moves no other fault."""
    if unknown := faults.rates.keys() - set(directives):
        raise ValueError(f"There is no fault {', '.join(unknown)}.")
    luck = {word: rng.random() for word in directives}
    return {word: None for word in luck if luck[word] < faults.rates.get(word, 0.0)}


def flag(value: str | None) -> bool:
    if value not in (None, "true", "false"):
        raise UnknownFault(f"{HEADER} takes no value {value!r} here. Name the word alone.")
    return value != "false"


def count(value: str | None, default: int = 1, most: int = 100) -> int:
    """A number from 1 to ``most``."""
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal()) or not 1 <= int(value) <= most:
        raise UnknownFault(f"{HEADER} cannot read the count {value!r}. Give a number from 1 to {most}.")
    return int(value)


def duration(value: str | None, default: float) -> float:
    """Seconds."""
    if value is None:
        return default
    match = _DURATION.fullmatch(value)
    if match is None:
        raise UnknownFault(f"{HEADER} cannot read the duration {value!r}. Write it as 250ms, 2s or 1m.")
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def choice(value: str | None, known: tuple[str, ...]) -> str:
    """One of the known values; the first one where none is given."""
    if value is not None and value not in known:
        raise UnknownFault(f"{HEADER} cannot read {value!r} here. Write one of: {', '.join(known)}.")
    return value or known[0]


def status(value: str | None, known: tuple[int, ...], default: int) -> int:
    """One of the known HTTP statuses."""
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal()) or int(value) not in known:
        listed = ", ".join(map(str, known))
        raise UnknownFault(f"{HEADER} cannot answer with {value!r}. Write one of: {listed}.")
    return int(value)
