"""Limits the head of a request as a whole, before the parser stores it.

aiohttp limits each field and their number, which together allow a megabyte for each connection, of a stranger. The
limit here counts what the parser has been given since the last request (or the last bytes of a body) was whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

MAX_HEAD: Final = 64 << 10
"""Bytes of a request's line and fields together, and of what frames a body (chunk extensions, trailers) in one go."""

_END: Final = b"\r\n\r\n"
_NOTHING: Final[tuple[tuple[()], bool, bytes]] = ((), False, b"")


class HeadTooLarge(HttpProcessingError):
    """More than ``MAX_HEAD`` came, and the head is not over."""

    code = 431
    message = "the head is too large"


class HeadLimit:
    """Stands before the parser of one connection, and gives it nothing more of a head that is too large.

    A caller that feeds ``parser`` itself says so (``follow``), and only ``between`` requests.
    """

    __slots__ = ("_begun", "_body", "_last", "_refused", "between", "message_consumed", "parser")

    def __init__(self, parser: Any) -> None:
        self.parser = parser
        self.message_consumed = parser.message_consumed
        self.between = True
        """Whether the next byte begins a request."""
        self._begun = 0  # bytes given since the last message, or the last content of a body
        self._last = b""  # the last ones of them
        self._body: StreamReader | None = None  # whose end has not come
        self._refused = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parser, name)

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        """What the parser makes of the data. Raises ``HeadTooLarge`` once; what comes after that is dropped."""
        if self._body is not None:
            return self._feed_body(self._body, data)
        if self._begun + len(data) > MAX_HEAD and not self._ends_in_time(data):
            return self._refuse()
        fed: tuple[Sequence[Any], bool, bytes] = self.parser.feed_data(data)
        self.follow(fed[0], data)
        return fed

    def follow(self, messages: Sequence[Any], data: bytes) -> None:
        """Notes what the parser has made of data that is no content of a body."""
        if messages:
            self._note(messages)
        elif data:
            self.between = False
            data = self._of_head(data)
            self._begun, self._last = self._begun + len(data), data[-3:]

    def _feed_body(self, body: StreamReader, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        """A body has limits elsewhere; here only what is not its content counts."""
        received = body.total_bytes
        fed: tuple[Sequence[Any], bool, bytes] = self.parser.feed_data(data)
        if fed[0]:
            self._note(fed[0])
        elif body.is_eof():
            self._body, self._begun, self.between = None, 0, True
        elif body.total_bytes != received or self.parser.protocol._reading_paused:
            self._begun = 0
        else:
            self._begun += len(data)
            if self._begun > MAX_HEAD:
                return self._refuse()
        return fed

    def _note(self, messages: Sequence[Any]) -> None:
        body = messages[-1][1]
        self._body = None if body.is_eof() else body
        self._begun, self._last = 0, b""
        self.between = self._body is None

    def _ends_in_time(self, data: bytes) -> bool:
        """Whether the end of the head lies within its limit."""
        return _END in self._last + self._of_head(data)[: max(0, MAX_HEAD - self._begun)]

    def _of_head(self, data: bytes) -> bytes:
        """What of the data is of a head: empty lines before a request are not (RFC 9112, 2.2), and so end none."""
        return data if self._begun else data.lstrip(b"\r\n")

    def _refuse(self) -> tuple[Sequence[Any], bool, bytes]:
        if self._refused:
            return _NOTHING
        self._refused = True
        self._last = b""
        raise HeadTooLarge
