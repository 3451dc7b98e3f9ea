"""An answer whose head and body are written exactly as they came from the upstream.

aiohttp's responses add headers of their own (``Date``, ``Server``, a content type), so the bytes are written past them,
on the connection's transport. ``RawResponse`` keeps what aiohttp has to know afterwards: that an answer went out, and
whether the connection lives on.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from contextlib import suppress

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time

from relay.edge.http.server import Connection
from relay.upstream import RawHeaders

_BODILESS = frozenset((204, 304))
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER for 0 seconds


def date() -> tuple[bytes, bytes]:
    """The header ``Date``, with the present second."""
    return b"Date", rfc822_formatted_time().encode()


class Sent(web.StreamResponse):
    """Signals aiohttp that the answer is out already."""

    def __init__(self, status: int, *, keep_alive: bool) -> None:
        super().__init__(status=status)
        self._keep_alive = keep_alive

    def force_close(self) -> None:
        """Nothing: the peer knows from the head whether the connection lives on, and may use it by now."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing is left to be sent."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be sent."""


class RawResponse:
    """One answer. ``begin`` it, ``write`` its pieces, and ``finish`` it, or ``abort`` where it ends too early.

    ``send_timeout``: seconds for which the client may take nothing, before it is cut.
    ``put`` and ``end`` are for those who write from outside a task, and look after slow clients themselves.
    """

    def __init__(self, request: web.BaseRequest, send_timeout: float = 60.0) -> None:
        self._request, self._send_timeout = request, send_timeout
        self._chunked = self._framed = False
        self._bodiless = request.method == hdrs.METH_HEAD
        self._keep_alive = False
        self._status = 0
        self._transport = request.transport

    @property
    def begun(self) -> bool:
        """Whether the head went out, so that no other answer is possible."""
        return self._status != 0

    @property
    def framed(self) -> bool:
        """Whether the answer's length was announced, so that nothing can be added."""
        return self._framed

    @property
    def untaken(self) -> int:
        """Bytes that the client has not taken yet, here and in the kernel: less of it than before is progress."""
        transport = self._request.transport
        return transport.get_write_buffer_size() + _in_kernel(transport) if transport is not None else 0

    def begin(self, status: int, reason: bytes, headers: RawHeaders) -> None:
        """Writes the head; the framing of the body is this connection's own (RFC 9112, 6)."""
        self._status = status
        self._bodiless = self._bodiless or status in _BODILESS
        request = self._request
        self._framed = self._bodiless or any(name.lower() == b"content-length" for name, _ in headers)
        self._chunked = not self._framed and request.version >= HttpVersion11
        lasts = not (isinstance(request.protocol, Connection) and request.protocol.draining)
        self._keep_alive = request.keep_alive and lasts and (self._framed or self._chunked)
        lines = [b"HTTP/1.1 %d %b" % (status, reason)]
        lines += [name + b": " + value for name, value in headers]
        if self._chunked:
            lines.append(b"Transfer-Encoding: chunked")
        if not self._keep_alive:
            lines.append(b"Connection: close")
        elif request.version == HttpVersion10:
            lines.append(b"Connection: keep-alive")
        head = b"\r\n".join([*lines, b"", b""])
        request.writer.output_size += len(head)  # so that aiohttp sends no second answer after an error
        self._put(head)

    def put(self, piece: bytes) -> None:
        """Writes a piece of the body and waits for nothing. Raises ``ConnectionError`` once the client is gone."""
        if piece and not self._bodiless:
            self._put(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    async def write(self, piece: bytes) -> bool:
        """``put``, and waits while the client is slow: see ``drained``."""
        self.put(piece)
        return await self.drained()

    def end(self) -> Sent:
        """The body ended as it should."""
        if self._chunked:
            self._put(b"0\r\n\r\n")
        return Sent(self._status, keep_alive=self._keep_alive)

    async def finish(self) -> Sent:
        """``end``, and waits while the client is slow."""
        sent = self.end()
        await self.drained()
        return sent

    async def drained(self) -> bool:
        """Waits until the client has nearly all; ``False``: it took nothing for its ``send_timeout`` and is cut."""
        protocol = self._request.protocol
        if protocol.connected and not protocol.writing_paused:
            return True
        drained = asyncio.ensure_future(protocol._drain_helper())  # once: aiohttp waits on with what was cancelled
        try:
            untaken = self.untaken + 1
            while not drained.done() and self.untaken < untaken:
                untaken = self.untaken
                await asyncio.wait((drained,), timeout=self._send_timeout)
            if drained.done():
                drained.result()
                return True
            self.cut()
            return False
        finally:
            drained.cancel()
            del drained  # its exception, this frame and itself would keep each other

    def cut(self) -> None:
        """Resets the connection at once, whatever the client has not taken.

        Without the reset the kernel would keep what is unsent, and try to end the connection properly, for minutes in
        which the client takes it for alive.
        """
        transport = self._request.transport
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()

    def abort(self) -> Sent:
        """The body is not whole: closes without its end, so that the client can tell."""
        transport = self._request.transport
        if transport is not None:
            transport.close()
        return Sent(self._status, keep_alive=False)

    def _put(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(data)


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes that the kernel has, and the peer has not acknowledged (``SIOCOUTQ``, tcp(7)); 0 where it is not known."""
    queued = bytearray(4)
    with suppress(OSError):
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    return int.from_bytes(queued, sys.byteorder)
