"""What is wrong with a configuration: all problems at once, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from relay.core.errors import RelayError

KeyPath = tuple[str | int, ...]
"""The way to a place in the configuration: ``("sinks", 0, "url")``, written ``sinks.0.url``."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: a line (from 1) of a file, or an environment variable."""

    file: str | None = None
    line: int | None = None
    variable: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``key`` is dotted, ``line`` counts from 1; no field ever holds a value of the file."""

    key: str
    message: str
    line: int | None = None
    file: str | None = None
    hint: str = ""
    variable: str | None = None

    def __str__(self) -> str:
        """``relay.yaml:12: server.prot: unknown key; did you mean 'port'?``"""
        place = self.variable or (f"{self.file}:{self.line}" if self.file and self.line else self.file)
        key = "" if self.variable == variable_of(self.key) else self.key
        text = f"{self.message}; {self.hint}" if self.hint else self.message
        return ": ".join(part for part in (place, key, text) if part)


class ConfigError(RelayError):
    """The configuration cannot be used. Code ``bad_configuration``; the text has one line per problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("bad_configuration", "\n".join(map(str, self.problems)))


def dotted(path: KeyPath) -> str:
    """A path as people read it."""
    return ".".join(map(str, path))


def variable_of(key: str) -> str:
    """The environment variable that sets a dotted key."""
    return "RELAY_" + key.upper().replace(".", "__")


_MANY = 4
"""Known words that begin like an unknown one: more than these would hide what is wrong."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word that was probably meant, or else all of them."""
    words = list(known)
    begun = [known for known in words if known.startswith(word.lower() + "_")]
    if len(begun) > _MANY:
        return f"did you mean {', '.join(begun[:_MANY])} or another of them?"
    if len(begun) > 1:
        return f"did you mean {', '.join(begun[:-1])} or {begun[-1]}?"
    match = get_close_matches(word.lower(), words, n=1, cutoff=0.65)
    return f"did you mean {match[0]!r}?" if match else f"known here: {', '.join(words) or 'nothing'}"
