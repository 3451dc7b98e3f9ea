"""HTTP/1.1 as relay's client speaks it: bytes in, values out (RFC 9112). Pure.

Written for streams: what is in one read of a body comes out as one piece, however many chunks it has. Strict where two
readings of one answer are possible, since connections are used again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from relay.upstream.headers import RawHeaders, named_by_connection

MAX_HEAD = 64 << 10
"""Bytes of an answer's head."""

_MAX_SIZE_LINE = 256
_MAX_TRAILER_LINE = 8192
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: ([^\r\n]*))?")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")
_TARGET = re.compile(r"/[!-~]*")


class Malformed(ValueError):
    """What came is not HTTP/1.1. The text quotes nothing of it."""


class Head(NamedTuple):
    """An answer's head. ``reason`` and the headers as on the wire; ``old``: HTTP/1.0."""

    status: int
    reason: bytes
    headers: RawHeaders
    old: bool = False


def request_head(
    method: str, target: str, host: bytes, headers: Iterable[tuple[bytes, bytes]], length: int | None
) -> bytes:
    """The head of a request. ``length``: of its body, ``None`` where it comes in chunks.

    A body of no length is said to have none only for the methods that expect one (RFC 9110, 8.6).
    Raises ``Malformed`` for a method, target or header that would be two requests, or half a one.
    """
    if not method.isalpha() or not method.isascii() or not _TARGET.fullmatch(target):
        raise Malformed("a request with this method or target cannot be sent")
    lines = [f"{method} {target} HTTP/1.1".encode("ascii"), b"Host: " + host]
    lines += [name + b": " + value for name, value in headers]
    if length is None:
        lines.append(b"Transfer-Encoding: chunked")
    elif length or method in ("POST", "PUT", "PATCH"):
        lines.append(b"Content-Length: %d" % length)
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise Malformed("a header holds a line break")
    return head + b"\r\n\r\n"


def parse_head(data: bytes) -> Head:
    """The head that ends with ``data``, its empty line included. Raises ``Malformed``."""
    first, *lines = data[:-4].split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(first)
    if status_line is None:
        raise Malformed("the status line is not valid")
    minor, status, reason = status_line.groups()
    headers = []
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None or b"\n" in line or b"\r" in line or b"\0" in line:
            raise Malformed("a header is not valid")
        headers.append((field[1], field[2]))
    return Head(int(status), reason or b"", headers, minor == b"0")


def body_of(method: str, head: Head) -> Body:
    """How the body that follows is framed (RFC 9112, 6.3). Raises ``Malformed`` where that is not certain."""
    coding = [value.strip().lower() for name, value in head.headers if name.lower() == b"transfer-encoding"]
    lengths = {value for name, value in head.headers if name.lower() == b"content-length"}
    if method == "HEAD" or head.status in (204, 304):
        return Counted(0)
    if coding:
        if lengths or coding != [b"chunked"]:
            raise Malformed("the answer's framing is ambiguous")
        return Chunked()
    if not lengths:
        return Endless()
    length = lengths.pop()
    if lengths or not length.isdigit() or len(length) > 18:
        raise Malformed("the answer's length is not valid")
    return Counted(int(length))


def lives_on(head: Head) -> bool:
    """Whether the connection may be used again after this answer (RFC 9112, 9.3)."""
    tokens = named_by_connection(head.headers)
    return b"close" not in tokens and (not head.old or b"keep-alive" in tokens)


@dataclass(slots=True)
class Counted:
    """A body with a length."""

    open_ended: ClassVar = False
    left: int
    surplus: bytes = b""

    @property
    def done(self) -> bool:
        return self.left == 0

    def take(self, data: bytes) -> bytes:
        if len(data) > self.left:
            data, self.surplus = data[: self.left], data[self.left :]
        self.left -= len(data)
        return data


@dataclass(slots=True)
class Endless:
    """A body that ends with the connection."""

    open_ended: ClassVar = True
    done: ClassVar = False
    surplus: ClassVar = b""

    def take(self, data: bytes) -> bytes:
        return data


class Chunked:
    """A body in chunks (RFC 9112, 7.1). Extensions and trailers are of this connection only, and end here."""

    __slots__ = ("_kept", "_left", "_trailer", "done", "surplus")

    open_ended = False

    def __init__(self) -> None:
        self.done = False
        self._left = 0  # of the chunk under way, its closing CRLF included
        self._kept = b""  # a size line or trailer of which the end has not come
        self._trailer = False
        self.surplus = b""

    def take(self, data: bytes) -> bytes:
        """See ``Body``. What is in several chunks comes as one piece."""
        if self._kept:
            data, self._kept = self._kept + data, b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        if self._left:
            at = self._content(data, at, end, pieces)
        if not self._left and not self._trailer:
            at = _take_whole(data, at, pieces)
        while at < end and not self.done:
            step = self._content if self._left else self._line
            at = step(data, at, end, pieces)
        if self.done:
            self.surplus = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _content(self, data: bytes, at: int, end: int, pieces: list[bytes]) -> int:
        """Takes the content of the chunk under way and its closing CRLF, as far as they have come."""
        here = min(self._left, end - at)
        content = max(0, min(here, self._left - 2))
        if content:
            pieces.append(data[at : at + content])
        closing = data[at + content : at + here]
        if closing and closing != (b"\r\n" if self._left - content == 2 else b"\n")[: len(closing)]:
            raise Malformed("a chunk is longer than it says")
        self._left -= here
        return at + here

    def _line(self, data: bytes, at: int, end: int, _: list[bytes]) -> int:
        """Takes a line of the framing: a chunk's size, or a field of the trailer."""
        stop = data.find(b"\r\n", at)
        limit = _MAX_TRAILER_LINE if self._trailer else _MAX_SIZE_LINE
        written = stop if stop >= 0 else end - data.endswith(b"\r")  # which may be the half of its end
        if written - at > limit:
            raise Malformed("a line between chunks is too long")
        if stop < 0:
            self._kept = data[at:]
            return end
        if self._trailer:
            self.done = stop == at
        else:
            self._left = self._size(data[at:stop])
        return stop + 2

    def _size(self, line: bytes) -> int:
        size = line.partition(b";")[0].rstrip(b" \t")
        if not _HEX.fullmatch(size):
            raise Malformed("a chunk's size is not valid")
        length = int(size, 16)
        if length == 0:
            self._trailer = True
            return 0
        return length + 2


Body = Counted | Endless | Chunked
"""Takes a body apart: ``take`` answers the content in bytes of the wire, and raises ``Malformed``.

``done``: its end was reached. ``open_ended``: only the connection's end is its end. ``surplus``: what came after it,
never anything from an upstream that is in step.
"""


def _take_whole(data: bytes, at: int, pieces: list[bytes]) -> int:
    """Takes the whole chunks from a place on, as far as they are written as usual; answers where they end.

    In a few steps for all of them, since a fast stream has hundreds in one read: cut at each CRLF, they are size and
    content in turn, as long as no content holds one. Where a size does not fit, this ends and a slower way goes on.
    """
    parts = data[at:].split(b"\r\n") if at else data.split(b"\r\n")
    contents = parts[1 : len(parts) - 1 : 2]  # the last part ends with the read, not with a chunk
    if b"" in contents:
        del contents[contents.index(b"") :]  # the last chunk, or a content that begins with a CRLF
    sizes = [b"%x" % len(content) for content in contents]
    if sizes != parts[0 : 2 * len(sizes) : 2]:
        usual = next(n for n, size in enumerate(sizes) if size != parts[2 * n])
        del contents[usual:], sizes[usual:]
    pieces += contents
    return at + sum(map(len, contents)) + sum(map(len, sizes)) + 4 * len(sizes)
