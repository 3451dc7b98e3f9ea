"""Requests to the upstream: connections are reused, and an answer can be taken in two ways.

``start`` calls a ``Receiver`` with what comes, as it comes: for streams. ``exchange`` is for everybody else.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from multidict import CIMultiDict, CIMultiDictProxy

from relay.core.errors import RelayError
from relay.core.network import why
from relay.settings.model import UpstreamSettings
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.upstream.addresses import Addresses
from relay.upstream.connection import Connection, Receiver
from relay.upstream.egress import EgressProxy, egress_proxy
from relay.upstream.errors import (
    CHECK_ADDRESS,
    EgressRefused,
    UpstreamError,
    UpstreamReset,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from relay.upstream.headers import RawHeaders, declared_length
from relay.upstream.trust import Trust, trust_advice
from relay.upstream.wire import Head, Malformed, request_head

RequestBody = bytes | bytearray | AsyncIterator[bytes]

_HELD = 256 << 10  # bytes of an answer that wait for a slow reader, before the upstream is made to wait
_REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS"))


class Upstream:
    """The upstream at ``base_url``, through an egress proxy where there is one. No redirects, no total timeout."""

    def __init__(self, settings: UpstreamSettings, signals: UpstreamSignals | None = None) -> None:
        """Raises ``RelayError`` where ``ssl_cafile`` holds no certificates, or ``HTTPS_PROXY`` no proxy."""
        parts = urlsplit(settings.base_url)
        secure = parts.scheme == "https"
        self.base_url = settings.base_url
        self._settings = settings
        self._signals = signals
        self._addresses = Addresses()
        self.egress = egress_proxy(settings, os.environ)
        """The egress proxy of new connections; ``None``: they go straight to the upstream."""
        self.renew: Callable[[], Awaitable[None]] | None = None
        """Reads the secrets again: a proxy that refuses them may have got others a moment ago."""
        self._address = (parts.hostname or "", parts.port or (443 if secure else 80))
        self._host = parts.netloc.encode("ascii")
        self._prefix = parts.path.rstrip("/")
        self._secure = secure
        self.trust = Trust(settings.ssl_cafile)
        self._turns = 0
        self._idle: deque[tuple[float, Connection]] = deque()
        self._busy: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def reconfigure(self, settings: UpstreamSettings) -> bool:
        """Goes through another egress proxy, or shows it other credentials; whether that is so. Nothing is cut off."""
        egress = egress_proxy(settings, os.environ)
        if egress == self.egress:
            return False
        self.egress = egress
        self.reconnect()
        return True

    def reconnect(self) -> None:
        """Has each connection end with the answer that is under way: the next ones go another way, or trust others."""
        self._turns += 1
        while self._idle:
            self._idle.pop()[1].cancel()
        for connection in self._busy:
            connection.retire()

    # -- taking an answer as it comes --------------------------------------------------------------------------

    def idle(self) -> Connection | None:
        """A connection that can be used at once, if there is one."""
        while self._idle:
            _, connection = self._idle.pop()  # the one used last is the least likely to have been closed meanwhile
            if connection.open:
                self._busy.add(connection)
                return connection
        return None

    async def connect(self) -> Connection:
        """A new connection. Raises ``UpstreamUnreachable`` or ``UpstreamTimeout``."""
        egress = self.egress
        try:
            return await self._connect(egress)
        except EgressRefused:
            if self.renew is not None:
                await self.renew()
            if self.egress == egress:
                raise
        return await self._connect(self.egress)

    async def _connect(self, egress: EgressProxy | None) -> Connection:
        if self._closed:
            raise UpstreamUnreachable("the relay is shutting down")
        limit, turn = self._settings.connect_timeout, self._turns
        try:
            async with asyncio.timeout(limit):
                connection = await (self._straight() if egress is None else self._through(egress))
        except TimeoutError:
            who = "The upstream" if egress is None else "The egress proxy, or the upstream behind it,"
            raise self._failed(UpstreamTimeout("connect_timeout", limit, sent=False, who=who), egress) from None
        except OSError as error:
            advice = trust_advice(error, "upstream.base_url") or CHECK_ADDRESS
            raise self._failed(UpstreamUnreachable(why(error), advice), egress) from None
        except UpstreamUnreachable as error:
            raise self._failed(error, egress) from None
        self._busy.add(connection)
        self._note_certificate(connection)
        if turn != self._turns:
            connection.retire()
        self._reached()
        return connection

    async def _straight(self) -> Connection:
        loop = asyncio.get_running_loop()
        tls = await self.trust.context() if self._secure else None
        _, connection = await loop.create_connection(
            lambda: Connection(loop, self._freed),
            sock=await self._connected(self._address),
            ssl=tls,
            server_hostname=self._address[0] if tls is not None else None,
        )
        return connection

    async def _through(self, egress: EgressProxy) -> Connection:
        from relay.upstream.tunnel import no_proxy, through  # which few relays need

        tls = await self.trust.context() if self._secure or egress.secure else None
        try:
            connected = await self._connected((egress.host, egress.port))
        except OSError as error:
            raise no_proxy(egress, why(error)) from None
        connection = Connection(asyncio.get_running_loop(), self._freed)
        ways = {"tls": tls if self._secure else None, "proxy_tls": tls if egress.secure else None}
        await through(egress, connected, self._address, connection, **ways)
        return connection

    async def _connected(self, address: tuple[str, int]) -> socket.socket:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(*address, type=socket.SOCK_STREAM)
        return await self._addresses.connected(found, loop.time())

    def send(
        self,
        connection: Connection,
        method: str,
        target: str,
        headers: RawHeaders,
        body: RequestBody,
        to: Receiver,
        *,
        flushed: Callable[[], None] | None = None,
    ) -> None:
        """Sends a request whose answer goes to a receiver; a body that is not whole yet follows by ``upload``.

        ``flushed`` is called once the kernel has nearly all of it.
        Raises ``RelayError`` (``bad_request``) for a request that HTTP/1.1 has no form for.
        """
        whole = body if isinstance(body, bytes | bytearray) else None
        length = declared_length(headers) if whole is None else len(whole)
        fields = [field for field in headers if field[0].lower() != b"content-length"]
        try:
            head = request_head(method, self._prefix + target, self._host, fields, length)
        except Malformed as error:
            self._freed(connection)
            raise RelayError("bad_request", f"The request cannot be forwarded: {error}.") from None
        first_byte, idle = self._settings.first_byte_timeout, self._settings.idle_timeout
        connection.send(method, head, whole or b"", to, first_byte, idle, more=whole is None, flushed=flushed)

    async def upload(self, connection: Connection, body: AsyncIterator[bytes], length: int | None) -> None:
        """Sends the rest of a request: ``length`` bytes, or chunks. Raises ``ConnectionError``, ``TimeoutError``."""
        left = length
        async for piece in body:
            if piece:
                async with asyncio.timeout(self._settings.idle_timeout):
                    await connection.write(piece if left is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
                left = left - len(piece) if left is not None else None
        if left:
            raise ConnectionAbortedError("the body is shorter or longer than its length")
        if left is None:
            await connection.write(b"0\r\n\r\n")
        connection.sent()

    # -- for everybody else ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def exchange(
        self, method: str, target: str, headers: Sequence[tuple[bytes, bytes]] = (), body: RequestBody = b""
    ) -> AsyncIterator[Answer]:
        """One request. ``target`` is path and query as they go on the wire; leaving the block frees the connection.

        ``headers`` go as they are; ``Host`` and the length of a whole body are set here. A body in pieces goes in
        chunks, or as long as a ``Content-Length`` says.
        Raises ``UpstreamUnreachable``, ``UpstreamTimeout`` or ``UpstreamReset``, and ``RelayError`` (``bad_request``)
        for a request that HTTP/1.1 has no form for.
        """
        connection, incoming = await self._begun(method, target, headers, body)
        uploading = None
        if not isinstance(body, bytes | bytearray):
            length = declared_length(headers)
            uploading = asyncio.create_task(self._uploaded(connection, incoming, body, length))
        try:
            yield Answer(await incoming.head(), incoming)
        finally:
            if uploading is not None:
                uploading.cancel()
                await asyncio.wait((uploading,))
            incoming.leave()

    async def _begun(
        self, method: str, target: str, headers: RawHeaders, body: RequestBody
    ) -> tuple[Connection, Incoming]:
        connection = self.idle()
        reused = connection is not None
        connection = connection or await self.connect()
        incoming = Incoming(connection)
        self.send(connection, method, target, headers, body, incoming)
        if reused and method in _REPEATABLE and isinstance(body, bytes | bytearray):
            try:
                await incoming.head()
            except UpstreamReset:  # it closed the connection while the request was on its way
                incoming.leave()
                connection = await self.connect()
                incoming = Incoming(connection)
                self.send(connection, method, target, headers, body, incoming)
        return connection, incoming

    async def _uploaded(
        self, connection: Connection, incoming: Incoming, body: AsyncIterator[bytes], length: int | None
    ) -> None:
        try:
            await self.upload(connection, body, length)
        except TimeoutError:
            incoming.give_up(UpstreamTimeout("idle_timeout", self._settings.idle_timeout, sent=True))
        except Exception as error:
            # Half a request must not look like a whole one. Where the upstream has answered and closed already, what
            # it said counts.
            if connection.open:
                incoming.give_up(error)

    # -- connections -------------------------------------------------------------------------------------------

    def _freed(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if self._closed or not connection.open:
            connection.cancel()
            return
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time(), connection))
        self._reached()
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._settings.keepalive_timeout, self._sweep)

    def _sweep(self) -> None:
        """Closes what was idle for too long, before the upstream does."""
        self._sweeper = None
        loop = asyncio.get_running_loop()
        while self._idle and self._idle[0][0] + self._settings.keepalive_timeout <= loop.time() + 0.001:
            self._idle.popleft()[1].cancel()
        if self._idle:
            due = self._idle[0][0] + self._settings.keepalive_timeout
            self._sweeper = loop.call_at(due, self._sweep)

    def _note_certificate(self, connection: Connection) -> None:
        shown = connection.tls.getpeercert(binary_form=True) if connection.tls is not None else None
        if shown and self._signals is not None:
            self._signals.certificate_shown(shown)

    def _reached(self) -> None:
        if self._signals is not None:
            self._signals.upstream_reached(True)

    def _failed(self, error: UpstreamError, egress: EgressProxy | None) -> UpstreamError:
        if self._signals is not None:
            self._signals.connection_failed(error.message, error.hint, str(egress) if egress is not None else None)
        return error

    async def close(self) -> None:
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self._idle:
            self._idle.pop()[1].cancel()
        for connection in list(self._busy):
            connection.cancel()
        self._busy.clear()
        await asyncio.sleep(0)


class Incoming:
    """A receiver that keeps what came until it is asked for, and makes the upstream wait when that is too much."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self.tls = connection.tls
        self._head: Head | None = None
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._paused = False
        self._finished = False
        self._error: Exception | None = None
        self._news: asyncio.Future[None] | None = None

    def answered(self, head: Head) -> None:
        self._head = head
        self._wake()

    def received(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > _HELD and not self._paused and self._connection is not None:
            self._paused = True
            self._connection.pause()
        self._wake()

    def ended(self) -> None:
        self._finished = True
        self._connection = None
        self._wake()

    def failed(self, error: UpstreamError) -> None:
        self._error = self._error or error
        self._connection = None
        self._wake()

    def give_up(self, error: Exception) -> None:
        """The request could not be sent to its end."""
        if not self._finished:
            self._error = self._error or error
            self._hang_up()
            self._wake()

    def leave(self) -> None:
        """Nothing more is wanted. A connection whose answer is not over is closed: the upstream sees that."""
        self._error = None  # once raised, its frames hold this
        self._hang_up()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cancel()

    async def head(self) -> Head:
        """The answer's head. Raises what went wrong instead."""
        while self._head is None:
            await self._wait()
        return self._head

    async def piece(self) -> bytes:
        """The next piece of the body, empty at its end. Raises what went wrong, after what came before."""
        while not self._pieces and not self._finished:
            await self._wait()
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        self._held -= len(piece)
        if self._paused and self._held <= _HELD // 2 and self._connection is not None:
            self._paused = False
            self._connection.resume()
        return piece

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class Answer:
    """The upstream's answer: its head is here, its body comes in pieces."""

    def __init__(self, head: Head, incoming: Incoming) -> None:
        self._incoming = incoming
        self.status = head.status
        self.reason = head.reason
        self.raw_headers: RawHeaders = head.headers
        self.headers: CIMultiDictProxy[str] = CIMultiDictProxy(
            CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
        )

    @property
    def tls(self) -> ssl.SSLObject | None:
        """What was negotiated; ``None`` in clear text."""
        return self._incoming.tls

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, without its transfer coding. Raises ``UpstreamReset`` or ``UpstreamTimeout``."""
        while piece := await self._incoming.piece():
            yield piece

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises ``UpstreamReset`` for one of more than ``limit`` bytes."""
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            if len(body) > limit:
                raise UpstreamReset(f"its answer has more than {limit} bytes")
        return bytes(body)
