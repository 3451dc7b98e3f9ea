"""TLS on an accepted connection: the event loop's own, which gets what comes in pieces, and by turns.

OpenSSL reads whatever it is given to its end, and a change of keys, 27 bytes of a stranger's, takes it 27 us: one
connection would stop the whole process for seconds. So relay parts from who sends records without content, as Go and
BoringSSL do; OpenSSL has no limit of its own.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from relay.edge.http.server import PARTING, Introduced
from relay.edge.http.tls_records import Records

SURPLUS: Final = 64
"""Records, at most, by which they may outnumber the bytes of content; a handshake and a farewell take about ten."""
UNREAD: Final = 64 << 10
"""Bytes that are taken, and not decrypted, while the connection does not read."""
_HANDSHAKES = 8  # that go one step further in one turn of the loop; a step is a millisecond, most of it a signature


class Turns:
    """Spreads the steps of handshakes over the turns of the loop, first come, first served."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()

    def wait(self, step: Callable[[], None]) -> None:
        """Calls it when its turn comes."""
        if not self._waiting:
            self._loop.call_soon(self._some)
        self._waiting.append(step)

    def _some(self) -> None:
        for _ in range(min(_HANDSHAKES, len(self._waiting))):
            self._loop.call_soon(self._waiting.popleft())
        if self._waiting:
            self._loop.call_soon(self._some)


class Secured(asyncio.Protocol):
    """Stands between a connection's transport and its TLS. ``refuse`` is called when the peer is parted from."""

    def __init__(
        self,
        connection: Introduced,
        context: ssl.SSLContext,
        *,
        turns: Turns,
        timeout: float,
        refuse: Callable[[], None],
    ) -> None:
        """``timeout``: seconds for the handshake."""
        loop = asyncio.get_running_loop()
        self.established: asyncio.Future[None] = loop.create_future()
        """Done once the handshake is; or it says what went wrong."""
        self._connection, self._turns, self._refuse = connection, turns, refuse
        self._tls = _implementation(loop)(
            loop,
            connection,
            context,
            self.established,
            server_side=True,
            ssl_handshake_timeout=timeout,
            ssl_shutdown_timeout=PARTING,
        )
        self._records = Records()
        self._surplus = self._counted = 0
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def limit_unread(self) -> None:
        """Takes no more than ``UNREAD`` while the connection does not read. After the handshake."""
        transport: Any = self._connection.transport
        if transport is not None:
            transport.set_read_buffer_limits(UNREAD)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake can begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not instances of it
        self._tls.connection_made(self._transport)

    def data_received(self, data: bytes) -> None:
        """Hands on what came: what belongs to a handshake when its turn comes, and until then reads no more."""
        if self.established.done() or self._transport is None:
            self._hand_on(data)
        else:
            self._transport.pause_reading()
            self._held = data
            self._turns.wait(self._go_on)

    def _go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()  # first, since TLS may pause it, too
            self._hand_on(self._held)
        self._held = b""

    def _hand_on(self, data: bytes) -> None:
        for piece, records in self._records.pieces(data):
            self._decrypt(piece)
            if self._transport is None or self._transport.is_closing():
                return
            if self._is_surplus(records):
                self._refuse()
                self._transport.abort()
                return

    def _decrypt(self, piece: memoryview) -> None:
        while piece:
            buffer = self._tls.get_buffer(len(piece))
            size = min(len(buffer), len(piece))
            buffer[:size] = piece[:size]
            self._tls.buffer_updated(size)
            piece = piece[size:]

    def _is_surplus(self, records: int) -> bool:
        """Whether the peer has sent too many records without content; not judged while what came is not read."""
        received = self._connection.received
        self._surplus = max(0, self._surplus + records - (received - self._counted))
        self._counted = received
        reading = self._connection.transport is None or self._connection.transport.is_reading()
        return reading and self._surplus > SURPLUS

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return cast("bool | None", self._tls.eof_received())

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over."""
        self._transport = None
        self._tls.connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer is slower than what is sent to it."""
        self._tls.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._tls.resume_writing()


def _implementation(loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    """What the loop would use by itself. uvloop's is compiled, and has the same methods."""
    uvloop = sys.modules.get("uvloop")
    return uvloop.loop.SSLProtocol if uvloop is not None and isinstance(loop, uvloop.Loop) else SSLProtocol
