"""Where the members of a JSON object lie in its bytes, without making Python objects of them.

A submission may hold tens of megabytes of base64 in one string: that is jumped over in C, so that looking at such a
body costs milliseconds and no memory. This is no validator: what it walks over is judged by whoever parses it.
Grammar: RFC 8259.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import orjson

Body = bytes | bytearray

MAX_STEPS: Final = 50_000
"""Brackets and strings that are looked at in one body: some 20 ms. Bodies in use have a few hundred."""

_SPACE: Final = re.compile(rb"[ \t\n\r]*+")
_SCALAR: Final = re.compile(rb'[^ \t\n\r,:"{}\[\]]++')
_STRUCTURE: Final = re.compile(rb'["{}\[\]]')

_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE, _OPEN_ARRAY = b'":,{}['


class Unwalkable(ValueError):
    """This is no JSON object, as far as it was looked at, or one with more structure than ``MAX_STEPS``."""


class Member(NamedTuple):
    """A member of an object: its key, decoded, and where its value begins and ends."""

    key: str
    start: int
    end: int


class Members(NamedTuple):
    """The members of an object in their order, and the place right behind its opening brace."""

    inside: int
    found: list[Member]

    def only(self, key: str) -> Member | None:
        """The member with this key. Raises ``Unwalkable`` if there are several: parsers differ in which one counts."""
        named = [member for member in self.found if member.key == key]
        if len(named) > 1:
            raise Unwalkable(f"{key} is there {len(named)} times")
        return named[0] if named else None


class Walk:
    """Walks over one body; the steps of all calls count together."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._steps = MAX_STEPS

    def members(self, start: int = 0, end: int | None = None) -> Members:
        """The members of the object that fills the body from ``start`` to ``end``. Raises ``Unwalkable``."""
        at = self._after_space(start)
        self._expect(at, _OPEN)
        members = Members(at + 1, [])
        at = self._after_space(at + 1)
        while self._at(at) != _CLOSE:
            member = self._member(at)
            members.found.append(member)
            at = self._after_space(member.end)
            if self._at(at) == _COMMA:
                at = self._after_space(at + 1)
                self._expect(at, _QUOTE)
        behind = self._after_space(at + 1) if end is None else at + 1
        if behind != (len(self._body) if end is None else end):
            raise Unwalkable("something follows the object")
        return members

    def _member(self, at: int) -> Member:
        self._expect(at, _QUOTE)
        key_end = self._string_end(at)
        colon = self._after_space(key_end)
        self._expect(colon, _COLON)
        start = self._after_space(colon + 1)
        return Member(self._key(at, key_end), start, self._value_end(start))

    def _key(self, start: int, end: int) -> str:
        try:
            return str(orjson.loads(self._body[start:end]))
        except orjson.JSONDecodeError:
            raise Unwalkable("a key is not a JSON string") from None

    def _value_end(self, start: int) -> int:
        first = self._at(start)
        if first == _QUOTE:
            return self._string_end(start)
        if first in (_OPEN, _OPEN_ARRAY):
            return self._nested_end(start)
        match = _SCALAR.match(self._body, start)
        if match is None:
            raise Unwalkable("a value is missing")
        return match.end()

    def _nested_end(self, start: int) -> int:
        depth, at = 0, start
        while match := _STRUCTURE.search(self._body, at):
            byte = self._body[match.start()]
            if byte == _QUOTE:
                at = self._string_end(match.start())
                continue
            self._step()
            depth += 1 if byte in (_OPEN, _OPEN_ARRAY) else -1
            at = match.end()
            if depth == 0:
                return at
        raise Unwalkable("an object or array is not closed")

    def _string_end(self, start: int) -> int:
        """Behind the closing quote, which is the first one that no backslash escapes."""
        quote = start
        while (quote := self._body.find(b'"', quote + 1)) >= 0:
            self._step()
            if not self._is_escaped(quote, start + 1):
                return quote + 1
        raise Unwalkable("a string is not closed")

    def _is_escaped(self, quote: int, start: int) -> bool:
        """Whether an odd number of backslashes stands before the quote; ``start``: where the string begins."""
        reach = 16
        while True:
            before = self._body[max(start, quote - reach) : quote]
            backslashes = len(before) - len(before.rstrip(b"\\"))
            if backslashes < reach:
                return backslashes % 2 == 1
            reach *= 2

    def _after_space(self, at: int) -> int:
        match = _SPACE.match(self._body, at)
        return match.end() if match else at

    def _at(self, at: int) -> int:
        if at >= len(self._body):
            raise Unwalkable("the object is not closed")
        return self._body[at]

    def _expect(self, at: int, byte: int) -> None:
        if self._at(at) != byte:
            raise Unwalkable(f"{chr(byte)} is missing")

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise Unwalkable("there is too much structure")
