"""What comes before HTTP on a new connection: the header of a proxy, and TLS. Bounded in number, bytes and time.

Without them asyncio accepts connections, and none of this runs. Handshakes are not left to asyncio, since it would not
count them: peers that never end theirs would be limited by nothing, and the certificate could not change.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from functools import partial

from relay.core.network import why
from relay.edge.http import problems
from relay.edge.http.auth import is_within
from relay.edge.http.proxy_protocol import FIXED, NotAccepted, client_of, length_of_rest
from relay.edge.http.secured import UNREAD, Secured, Turns
from relay.edge.http.server import GRACE, LOCAL, PARTING, Peer, Preamble, Server, unasked
from relay.telemetry.signals.http import HttpSignals

_AT_ONCE = 256  # connections that are accepted in one turn of the loop
_REST = 1.0  # seconds without accepting where the process has no descriptor left
_HANDSHAKE_RECORD = b"\x16"  # RFC 8446, 5.1


class Arrivals:
    """Accepts the connections of one listener, and gives them to its server once HTTP can begin."""

    def __init__(self, server: Server, preamble: Preamble, signals: HttpSignals) -> None:
        self._server, self._preamble, self._signals = server, preamble, signals
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(self._loop)
        self._listening: list[socket.socket] = []
        self._since: dict[asyncio.Task[None], float] = {}  # the oldest first

    @property
    def under_way(self) -> int:
        """Connections on which HTTP has not begun."""
        return len(self._since)

    def listen(self, bound: Sequence[socket.socket], backlog: int) -> None:
        """Takes the connections of these sockets; they are duplicated."""
        for each in bound:
            listening = socket.fromfd(each.fileno(), each.family, each.type)
            listening.listen(backlog)
            listening.setblocking(False)
            self._listening.append(listening)
            self._loop.add_reader(listening, self._accept, listening)

    def close(self) -> None:
        """Takes no more. What is under way goes on."""
        for listening in self._listening:
            self._loop.remove_reader(listening)
            listening.close()
        self._listening.clear()

    def cancel(self) -> None:
        """Ends what is under way."""
        for task in self._since:
            task.cancel()

    def admit(self, connection: socket.socket) -> asyncio.Task[None] | None:
        """Lets a connection begin, or makes an end of it where there are too many."""
        if not self._server.admits_one_more() and not self._oldest_left():
            connection.close()
            return None
        connection.setblocking(False)
        task = self._loop.create_task(self._arrive(connection))
        self._since[task] = self._loop.time()
        self._server.arriving += 1
        task.add_done_callback(self._arrived)
        return task

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._signals.accept_failed(why(error))
                self._loop.remove_reader(listening)
                self._loop.call_later(_REST, self._go_on, listening)
                return
            self.admit(connection)

    def _go_on(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._loop.add_reader(listening, self._accept, listening)

    def _oldest_left(self) -> bool:
        """Whether room was made by one that had its time: nobody keeps everybody out by handshakes without an end."""
        task, since = next(iter(self._since.items()), (None, 0.0))
        if task is None or self._loop.time() - since < GRACE:
            return False
        task.cancel()
        return True

    def _arrived(self, task: asyncio.Task[None]) -> None:
        del self._since[task]
        self._server.arriving -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            self._signals.request_failed("connection", error)

    async def _arrive(self, connection: socket.socket) -> None:
        peer = connection.getpeername() if connection.family != socket.AF_UNIX else LOCAL
        try:
            async with asyncio.timeout(self._preamble.timeout):
                client = await self._through_proxy(connection, peer) if self._preamble.proxies is not None else peer
                await self._serve(connection, client)
        except NotAccepted as error:
            self._signals.connection_refused(peer[0], f"PROXY protocol: {error}")
        except TimeoutError:
            self._signals.connection_refused(peer[0], "no answer in time")
        except OSError as error:
            self._signals.connection_refused(peer[0], why(error))

    async def _through_proxy(self, connection: socket.socket, peer: Peer) -> Peer:
        """The client's address, as a proxy says it. Raises ``NotAccepted``."""
        handed_over = False
        try:
            if connection.family != socket.AF_UNIX and not is_within(peer[0], self._preamble.proxies or ()):
                raise NotAccepted("not from one of server.trusted_proxies")
            fixed = await self._exactly(connection, FIXED)
            rest = await self._exactly(connection, length_of_rest(fixed))
            handed_over = True
            return client_of(fixed, rest) or peer
        finally:
            if not handed_over:
                connection.close()

    async def _exactly(self, connection: socket.socket, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            piece = await self._loop.sock_recv(connection, count - len(received))
            if not piece:
                raise NotAccepted("no header")
            received += piece
        return bytes(received)

    async def _serve(self, connection: socket.socket, peer: Peer) -> None:
        server, certificate = self._server, self._preamble.certificate
        if certificate is None:
            await self._loop.connect_accepted_socket(lambda: server.connection(peer), connection)
            return
        begin = await self._begin_of(connection)
        if begin != _HANDSHAKE_RECORD:
            await self._turn_away(connection, begin, peer)
        else:
            await self._secure(connection, peer, certificate.context)

    async def _secure(self, connection: socket.socket, peer: Peer, context: ssl.SSLContext) -> None:
        """Returns after the handshake. Raises ``OSError`` where it fails."""
        made = self._server.connection(peer)
        refuse = partial(self._signals.connection_refused, peer[0], "records of TLS without content")
        secured = Secured(made, context, turns=self._turns, timeout=self._preamble.timeout, refuse=refuse)
        transport, _ = await self._loop.connect_accepted_socket(lambda: secured, connection)
        try:
            await secured.established
            secured.limit_unread()
        except BaseException:
            transport.abort()
            raise

    async def _begin_of(self, connection: socket.socket) -> bytes:
        """The first byte, which stays where it is; none where the peer ends the connection."""
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(connection, _wake, readable)
        try:
            await readable
            self._loop.remove_reader(connection)
            return connection.recv(1, socket.MSG_PEEK)
        except BaseException:
            self._loop.remove_reader(connection)
            connection.close()
            raise

    async def _turn_away(self, connection: socket.socket, begin: bytes, peer: Peer) -> None:
        """Answers who speaks HTTP in clear text, and leaves the time to read that."""
        try:
            if begin:
                self._signals.connection_refused(peer[0], "it does not speak TLS")
                connection.recv(UNREAD)  # a close with something unread would take the answer back
                connection.send(unasked(problems.answer("bad_request", "This port speaks TLS: begin with https://.")))
                connection.shutdown(socket.SHUT_WR)
                async with asyncio.timeout(PARTING):
                    while await self._loop.sock_recv(connection, UNREAD):
                        pass
        except TimeoutError:
            pass
        finally:
            connection.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
