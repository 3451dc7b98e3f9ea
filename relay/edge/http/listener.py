"""One bound address: how it begins to listen, and how it ends without refusing or resetting anybody."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay.clocks import until
from relay.core.errors import RelayError
from relay.core.network import UNIX, authority, why
from relay.edge.http.accept_queue import emptied, take_no_more
from relay.edge.http.aiohttp_internals import require_internals
from relay.edge.http.fast_path import Shortcut
from relay.edge.http.server import LOCAL, PARTING, Handler, Limits, Preamble, RequestFactory, Server
from relay.telemetry.signals.http import HttpSignals

if TYPE_CHECKING:
    from relay.edge.http.arrival import Arrivals

_LINGERING = 2.0  # the same for one whose body was not read to its end
_TICK = 0.02
_TURNS = 10  # of the loop, in which what asyncio has accepted becomes connections
_HANDSHAKE = 0.005  # seconds in which a peer that the kernel has answered confirms it: a round trip within a cluster
_BACKLOG = 1024


class Listener:
    """One bound address serving one handler; ``Listener.url`` is known after ``start``."""

    def __init__(
        self,
        handler: Handler,
        *,
        host: str,
        port: int,
        limits: Limits,
        signals: HttpSignals,
        request_factory: RequestFactory | None = None,
        shortcut: Shortcut | None = None,
        preamble: Preamble = Preamble(),  # noqa: B008 - frozen
    ) -> None:
        """``host``: a name, an address, or ``unix:`` and the path of a socket. ``preamble``: what comes before HTTP."""
        self._host, self._port = host, port
        self._path = Path(host.removeprefix(UNIX)) if host.startswith(UNIX) else None
        self._preamble, self._signals = preamble, signals
        self._arrivals: Arrivals | None = None
        options = {
            "header_timeout": limits.header_timeout,
            "signals": signals,
            "shortcut": shortcut,
            "keepalive_timeout": limits.keepalive_timeout,
            "access_log": None,  # it would print the path, and with it the token
            "auto_decompress": False,
            "lingering_time": _LINGERING,
        }
        self.server = Server(
            handler,
            options=options,
            max_connections=limits.max_connections,
            handler_cancellation=True,
            request_factory=request_factory,
        )
        self._listening: asyncio.Server | None = None
        self._outlived = False  # by its socket

    async def start(self, inherited: socket.socket | None = None) -> None:
        """Binds, or serves a listening socket that goes on without this process.

        Raises ``RelayError`` when the address cannot be had, or aiohttp is not as relay needs it.
        """
        require_internals(self.server)
        self._outlived = inherited is not None
        try:
            self._listening = await self._bound(inherited)
        except OSError as error:
            # Here asyncio makes a text that has the whole address in it, too.
            reason = os.strerror(error.errno) if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL) else why(error)
            raise RelayError(
                "address_unavailable",
                f"Cannot listen on {self._place}: {reason}.",
                hint="Stop what uses this port (ss -ltnp), or choose another server.port or admin.port. The host "
                "must be an address of this machine.",
            ) from error

        if self._preamble:
            from relay.edge.http.arrival import Arrivals  # which few relays need

            self._arrivals = Arrivals(self.server, self._preamble, self._signals)
            self._arrivals.listen(self._listening.sockets, _BACKLOG)

    async def _bound(self, inherited: socket.socket | None) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"backlog": _BACKLOG, "start_serving": not self._preamble}
        if self._path is not None:
            from relay.edge.http.unix_socket import bind

            local = inherited or bind(self._path)
            return await loop.create_unix_server(partial(self.server.connection, LOCAL), sock=local, **options)
        where: dict[str, Any] = {"host": self._host, "port": self._port, "reuse_address": True}
        return await loop.create_server(self.server, **({"sock": inherited} if inherited else where), **options)

    @property
    def _place(self) -> str:
        return self._host if self._path is not None else f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """Where it listens, with the port that was really bound; ``unix:`` and its path for a socket."""
        assert self._listening is not None, "the listener has not been started"
        if self._path is not None:
            return self._host
        scheme = "https" if self._preamble.certificate is not None else "http"
        bound: tuple[Any, ...] = self._listening.sockets[0].getsockname()
        return f"{scheme}://{authority(*bound[:2])}"

    async def stop_listening(self) -> None:
        """Takes no new connections; the open ones go on, and so do those that the kernel has taken already.

        Those of an inherited socket wait in it for the next process.
        """
        if self._listening is None:
            return
        loop, listening = asyncio.get_running_loop(), self._listening.sockets
        ours = [] if self._outlived else listening
        queues = [socket.fromfd(each.fileno(), each.family, each.type) for each in ours]
        if self._arrivals is not None:
            self._arrivals.close()
        if self._path is not None and ours:
            with suppress(OSError):
                self._path.unlink()
        for each in listening:
            loop.remove_reader(each.fileno())  # asyncio fails at connections that it accepts just before the close
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        # From here to the close new peers are not even refused, and ask again a second later: no turn more than needed.
        for each in ours:
            take_no_more(each)
        if ours:
            await asyncio.sleep(_HANDSHAKE)
        self._listening.close()
        # The kernel resets what waits in a queue when its last descriptor is closed; that is ours, and empty by then.
        waiting = [connection for queue in queues for connection in emptied(queue, _BACKLOG)]
        await asyncio.gather(*filter(None, map(self._serve, waiting)), return_exceptions=True)

    def _serve(self, connection: socket.socket) -> Awaitable[Any] | None:
        if self._arrivals is not None:
            return self._arrivals.admit(connection)
        factory = self.server if self._path is None else partial(self.server.connection, LOCAL)
        return asyncio.get_running_loop().connect_accepted_socket(factory, connection)

    async def drain(self, timeout: float, last_call: float) -> None:
        """Waits until what is under way has ended: ``timeout`` seconds at most.

        It goes on listening, and serves what comes, for the ``last_call`` at least: senders which do not know yet are
        answered, and asked to close, instead of refused. That is cut short when nobody is connected. Connections on
        which nothing is asked stay: a request may be on its way on them.
        """
        self.server.draining = True
        begun = self.server.busy()

        def have_ended() -> bool:
            begun.intersection_update(self.server.busy())
            return not begun

        await until(lambda: not self.server.connections, min(last_call, timeout))
        await until(have_ended, timeout - last_call)

    async def stop(self, timeout: float) -> None:
        """Ends within ``timeout`` seconds: parts from silent connections, and then takes no more.

        What is under way may end. aiohttp's own way stops reading from all connections first, and so would lose the
        bodies being received.
        """
        server = self.server
        server.draining = True
        deadline = asyncio.get_running_loop().time() + timeout
        await until(lambda: not server.part_from_silent(), min(PARTING, timeout / 2))
        await self.stop_listening()
        left = deadline - asyncio.get_running_loop().time()
        await until(lambda: not (server.part_from_silent() or server.connections or server.arriving), left)
        if self._arrivals is not None:
            self._arrivals.cancel()
        await server.shutdown(_TICK)
