"""Finds the members of a JSON object in its bytes, without making Python objects of them.

A request may hold tens of megabytes of base64 in one string: that is jumped over in C, so that looking at such a body
costs milliseconds and no memory. A parser would make objects of all of it, and take thirty times the size of brackets.
This is no validator: the parser judges what it walks over. Grammar: RFC 8259.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import orjson

Body = bytes | bytearray

MAX_STEPS: Final = 400_000
"""Brackets, strings and stretches of escapes that are looked at in one body: some 150 ms. A long chat has 50,000."""

MAX_MEMBERS: Final = 1000
"""Members of one object."""

MAX_KEY: Final = 4096
"""Bytes of a member's key."""

_STRETCH: Final = 64 << 10
"""Bytes that are looked at in one go: about a millisecond where they are made for it."""

# Possessive (*+): a body that is made for it would have the matcher go back over all that it has passed.
_SPACE: Final = re.compile(rb"[ \t\n\r]*+")
_SCALAR: Final = re.compile(rb'[^ \t\n\r,:"{}\[\]]*+')
_UNSTRUCTURED: Final = re.compile(rb'[^"{}\[\]]*+')
_TEXT: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)

_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE, _OPEN_ARRAY, _BACKSLASH = b'":,{}[\\'


class Unwalkable(ValueError):
    """This is no JSON object, as far as it was looked at, or one beyond ``MAX_STEPS`` or ``MAX_MEMBERS``."""


class Member(NamedTuple):
    """A member of an object: its key, decoded, and where its value begins and ends.

    ``items``: how many objects, arrays and texts the value holds itself, where it is an array.
    """

    key: str
    start: int
    end: int
    items: int = 0

    def value(self, body: Body, limit: int) -> Any:
        """What a parser makes of it; ``None`` also for what has more than ``limit`` bytes, or is no JSON."""
        if self.end - self.start > limit:
            return None
        try:
            return orjson.loads(body[self.start : self.end])
        except orjson.JSONDecodeError:
            return None


class Members(NamedTuple):
    """The members of an object in their order, and the place right behind its opening brace."""

    inside: int
    found: list[Member]

    def only(self, key: str) -> Member | None:
        """The member with this key. Raises ``Unwalkable`` if there are several: parsers differ in which one counts."""
        named = [member for member in self.found if member.key == key]
        if len(named) > 1:
            raise Unwalkable(f"{key} occurs {len(named)} times")
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
            if len(members.found) == MAX_MEMBERS:
                raise Unwalkable("an object has too many members")
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
        return Member(self._key(at, key_end), start, *self._value(start))

    def _key(self, start: int, end: int) -> str:
        if end - start > MAX_KEY:
            raise Unwalkable("a key is too long")
        try:
            return str(orjson.loads(self._body[start:end]))
        except orjson.JSONDecodeError:
            raise Unwalkable("a key is not a JSON string") from None

    def _value(self, start: int) -> tuple[int, int]:
        """Where a value ends, and how many values it holds."""
        first = self._at(start)
        if first == _QUOTE:
            return self._string_end(start), 0
        if first in (_OPEN, _OPEN_ARRAY):
            return self._nested(start)
        end = self._behind(_SCALAR, start)
        if end == start:
            raise Unwalkable("a value is missing")
        return end, 0

    def _nested(self, start: int) -> tuple[int, int]:
        depth, items, at, size = 0, 0, start, len(self._body)
        while (at := self._behind(_UNSTRUCTURED, at)) < size:
            byte = self._body[at]
            if byte == _QUOTE:
                at = self._string_end(at)
                items += depth == 1
                continue
            self._step()
            at += 1
            if byte in (_OPEN, _OPEN_ARRAY):
                depth += 1
                continue
            depth -= 1
            items += depth == 1
            if depth == 0:
                return at, items
        raise Unwalkable("an object or array is not closed")

    def _string_end(self, start: int) -> int:
        """Behind the closing quote, which is the first one that no backslash escapes."""
        at = start + 1
        while (quote := self._body.find(b'"', at)) >= 0:
            self._step()
            if not self._backslashes(at, quote) % 2:
                return quote + 1
            at = self._behind_escapes(quote + 1)
            if self._body[at : at + 1] == b'"':
                return at + 1
        raise Unwalkable("a string is not closed")

    def _behind_escapes(self, at: int) -> int:
        """The end of the string, or a place in it that no escape covers: a text with one quote in it has more."""
        match = _TEXT.match(self._body, at, at + _STRETCH)
        end = match.end() if match else at
        self._step((end - at) >> 6)
        return end

    def _backslashes(self, start: int, end: int) -> int:
        """How many stand right before ``end``, but not before ``start``."""
        at = end
        while at > start and self._body[at - 1] == _BACKSLASH:
            before = self._body[max(start, at - _STRETCH) : at]
            at -= len(before) - len(before.rstrip(b"\\"))
            self._step(len(before) >> 8)
        return end - at

    def _after_space(self, at: int) -> int:
        return self._behind(_SPACE, at)

    def _behind(self, what: re.Pattern[bytes], at: int) -> int:
        """Behind all of it, a stretch at a time: while one is matched no other thread runs."""
        while match := what.match(self._body, at, at + _STRETCH):
            if match.end() - at < _STRETCH:
                return match.end()
            at = match.end()
            self._step(_STRETCH >> 8)
        return at

    def _at(self, at: int) -> int:
        if at >= len(self._body):
            raise Unwalkable("the object is not closed")
        return self._body[at]

    def _expect(self, at: int, byte: int) -> None:
        if self._at(at) != byte:
            raise Unwalkable(f"{chr(byte)} is missing")

    def _step(self, steps: int = 1) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise Unwalkable("there is too much structure")
