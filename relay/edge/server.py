"""A listener with the limits that aiohttp does not have: time for a request's head, a number of connections.

aiohttp's server has no read timeouts, keeps idle connections for an hour and, given one misspelt option, silently
drops all of them; hence the options are set here, in one place, and a test reads the effective values back.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from relay.core.errors import RelayError
from relay.edge import problems

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%s"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds. ``header_timeout`` runs from the first byte due to the end of the request's head."""

    header_timeout: float = 10.0
    body_timeout: float = 10.0
    keepalive_timeout: float = 75.0
    max_connections: int = 10_000


class Connection(RequestHandler):
    """aiohttp's connection, cut when a request's head does not arrive in time, and answering in problem documents."""

    __slots__ = ("_head_timer", "_header_timeout", "_on_failure")

    def __init__(
        self, server: Server, *, header_timeout: float, on_failure: Callable[[str, BaseException], None], **options: Any
    ) -> None:
        super().__init__(server, **options)
        self._header_timeout = header_timeout
        self._on_failure = on_failure
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the time for the first request's head."""
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(self._header_timeout, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        """Stops the time when a head is complete, starts it when a head of a later request begins."""
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        elif self._head_timer is None and self._waiter is not None:
            self._head_timer = self._loop.call_later(self._header_timeout, self._head_is_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forgets the timer with the connection."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """One problem document and one log line, where aiohttp has a traceback and a page."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, an error can no longer be told")
        if isinstance(exc, HttpProcessingError) or status == 400:
            response = respond(problems.answer("bad_request", "This is not HTTP as RFC 9112 has it."))
        else:
            if exc is not None:
                self._on_failure(request.method, exc)
            response = respond(problems.answer("internal"))
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What aiohttp could not hand to ``handle_error``."""
        error = kw.get("exc_info")
        if isinstance(error, BaseException):
            self._on_failure("connection", error)

    def _head_is_late(self) -> None:
        self._head_timer = None
        self.force_close()


class Server(web.Server):
    """Makes our connections, and turns new ones away over the limit."""

    def __init__(self, handler: Handler, *, options: dict[str, Any], max_connections: int, **server: Any) -> None:
        super().__init__(handler, **server)
        self._options = options
        self._max_connections = max_connections

    def __call__(self) -> RequestHandler:
        """One connection. A wrong option is an error here, not a warning that drops all options."""
        return Connection(self, loop=self._loop, **self._options)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Counts the connection, or answers 503 and closes it."""
        super().connection_made(handler, transport)
        if len(self.connections) > self._max_connections:
            body = problems.answer("overloaded", "Too many connections.").body
            transport.write(_FULL % (len(body), body))
            handler.force_close()


class Listener:
    """One bound address serving one handler; ``Listener.url`` is known after ``start``."""

    def __init__(
        self,
        handler: Handler,
        *,
        host: str,
        port: int,
        limits: Limits,
        on_failure: Callable[[str, BaseException], None],
        request_factory: Any = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host, self._port, self._tls = host, port, tls
        options = {
            "header_timeout": limits.header_timeout,
            "on_failure": on_failure,
            "keepalive_timeout": limits.keepalive_timeout,
            "access_log": None,
            "auto_decompress": False,
            "lingering_time": 2.0,
        }
        self.server = Server(
            handler,
            options=options,
            max_connections=limits.max_connections,
            handler_cancellation=True,
            **({"request_factory": request_factory} if request_factory else {}),
        )
        self._listening: asyncio.Server | None = None

    async def start(self) -> None:
        """Binds. Raises ``RelayError`` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(
                self.server, self._host, self._port, ssl=self._tls, backlog=1024, reuse_address=True
            )
        except OSError as error:
            raise RelayError(
                "address_unavailable",
                f"{self._host}:{self._port} cannot be listened on: {error.strerror or error}.",
                hint="Choose another server.port or admin.port, or stop what uses this one.",
            ) from error

    @property
    def url(self) -> str:
        """Where it listens, with the port that was really bound."""
        assert self._listening is not None, "the listener has not been started"
        bound: tuple[Any, ...] = self._listening.sockets[0].getsockname()
        family = self._listening.sockets[0].family
        host = f"[{bound[0]}]" if family == socket.AF_INET6 else bound[0]
        return f"{'https' if self._tls else 'http'}://{host}:{bound[1]}"

    def stop_listening(self) -> None:
        """Takes no new connections; the open ones go on."""
        if self._listening is not None:
            self._listening.close()

    async def stop(self, timeout: float) -> None:
        """Lets requests under way end, for at most ``timeout`` seconds, then cuts the connections."""
        self.stop_listening()
        self.server.pre_shutdown()
        # aiohttp applies its time-out twice, once to wait and once to cancel.
        await self.server.shutdown(timeout / 2)


def respond(refusal: problems.Answer) -> web.Response:
    """A refusal as a response."""
    return web.Response(status=refusal.status, body=refusal.body, headers=dict(refusal.headers))
