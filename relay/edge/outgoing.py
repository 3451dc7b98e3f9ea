"""An answer to a client whose head and body are written as they came from the upstream.

aiohttp's responses add headers of their own (``Date``, ``Server``, a content type), so the bytes are written past them,
on the connection's transport. ``Outgoing`` keeps what aiohttp has to know afterwards: that an answer went out, and
whether the connection lives on.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from relay.upstream import RawHeaders

_BODILESS = frozenset((204, 304))


class Sent(web.StreamResponse):
    """Tells aiohttp that the answer is out already."""

    def __init__(self, status: int, *, keep_alive: bool) -> None:
        super().__init__(status=status)
        self._keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing is left to be sent."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be sent."""


class Outgoing:
    """One answer. ``begin`` it, ``write`` its pieces, and ``finish`` it, or ``abort`` where it ends too early."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._chunked = False
        self._bodiless = request.method == hdrs.METH_HEAD
        self._keep_alive = False
        self._status = 0

    @property
    def begun(self) -> bool:
        """Whether the head went out, so that no other answer is possible."""
        return self._status != 0

    def begin(self, status: int, reason: str, headers: RawHeaders, *, close: bool = False) -> None:
        """Writes the head; the framing of the body is this connection's own (RFC 9112, 6). ``close``: after this."""
        self._status = status
        self._bodiless = self._bodiless or status in _BODILESS
        request = self._request
        framed = self._bodiless or any(name.lower() == b"content-length" for name, _ in headers)
        self._chunked = not framed and request.version >= HttpVersion11
        self._keep_alive = request.keep_alive and not close and (framed or self._chunked)
        lines = [f"HTTP/1.1 {status} {reason or _phrase(status)}".encode("latin-1", "replace")]
        lines += [name + b": " + value for name, value in headers]
        if self._chunked:
            lines.append(b"Transfer-Encoding: chunked")
        if not self._keep_alive:
            lines.append(b"Connection: close")
        elif request.version == HttpVersion10:
            lines.append(b"Connection: keep-alive")
        self._put(b"\r\n".join([*lines, b"", b""]))

    async def write(self, piece: bytes) -> None:
        """Writes a piece of the body; waits while the client is slow. Raises ``ConnectionError`` once it is gone."""
        if piece and not self._bodiless:
            self._put(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
        await self._request.protocol._drain_helper()

    async def finish(self) -> Sent:
        """The body ended as it should."""
        if self._chunked:
            self._put(b"0\r\n\r\n")
        await self._request.protocol._drain_helper()
        return Sent(self._status, keep_alive=self._keep_alive)

    def abort(self) -> Sent:
        """The body is not whole: closes without its end, so that the client can tell."""
        transport = self._request.transport
        if transport is not None:
            transport.close()
        return Sent(self._status, keep_alive=False)

    def _put(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._request.writer.output_size += len(data)  # so that aiohttp sends no second answer after an error
        transport.write(data)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
