"""A listener with limits that aiohttp lacks: time for the head of a request, and a number of connections.

aiohttp's server has no read timeouts, keeps idle connections for an hour and, given one misspelt option, silently
drops all of them; hence the options are set here, in one place, and a test reads the effective values back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from relay.edge.http import problems
from relay.edge.http.fast_path import FastPath, Shortcut
from relay.edge.http.heads import MAX_HEAD, HeadLimit, HeadTooLarge
from relay.telemetry.signals.http import HttpSignals

if TYPE_CHECKING:
    from relay.edge.http.auth import Networks
    from relay.edge.http.tls import Certificate

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Peer = tuple[Any, ...]
"""Address and port of a connection's other end, and what IPv6 adds."""
LOCAL: Peer = ("127.0.0.1", 0)
"""Who connects to a unix socket: somebody on this machine, whom the file's permissions let in."""
RequestFactory = Callable[..., web.BaseRequest]

PARTING = 1.0  # seconds in which a peer that is turned away can read why, before a reset would take it away
_PARTING_CONNECTIONS = 1000  # beyond the limit; further ones are dropped, or this were no limit
_LOOKED_AT = 256  # connections, the oldest, among which one is sought that can make room for a new one
GRACE = 0.05  # seconds for which a connection may say nothing in whatever case: its request is on the way
_FIRST_WORD = 0.5  # seconds for which a new connection may be silent while draining: its request is on the way
_PIPELINED = 2  # requests that wait behind the one under way, before no more is read


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds. ``header_timeout`` runs from the first byte due to the end of the request's head."""

    header_timeout: float = 10.0
    keepalive_timeout: float = 75.0
    max_connections: int = 10_000


@dataclass(frozen=True, slots=True)
class Preamble:
    """What comes before HTTP. ``proxies``: who has to send a PROXY header, and nobody else is let in; ``None``: none.

    ``timeout``: seconds for all of it.
    """

    certificate: Certificate | None = None
    proxies: Networks | None = None
    timeout: float = 10.0

    def __bool__(self) -> bool:
        return self.certificate is not None or self.proxies is not None


class Flow(Protocol):
    """What writes to a client as fast as something else gives it, and can be made to wait."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Connection(RequestHandler):
    """aiohttp's connection, cut when a request's head does not arrive in time, and answering in problem documents."""

    __slots__ = (
        *("_dropped", "_fast_path", "_head_begun", "_head_timer", "_header_timeout", "_listener", "_signals"),
        "flow",
    )

    def __init__(
        self,
        server: Server,
        *,
        header_timeout: float,
        signals: HttpSignals,
        shortcut: Shortcut | None = None,
        **options: Any,
    ) -> None:
        super().__init__(server, **options)
        self._max_msg_queue_size, self._msg_queue_resume_size = _PIPELINED, 0
        heads = HeadLimit(self._parser)
        self._fast_path = FastPath(self, heads, shortcut, server) if shortcut else None
        self._parser = self._fast_path or heads  # type: ignore[assignment] # they stand before the parser, and are one
        self._header_timeout = header_timeout
        self._listener = server
        self._signals = signals
        self._dropped = 0  # bytes, since nothing more is taken
        self._head_begun = False
        self._head_timer: asyncio.TimerHandle | None = None
        self.flow: Flow | None = None
        """Who writes to this connection without waiting, and wants to know when it should not."""

    @property
    def idle(self) -> bool:
        """Whether no request is under way or has begun to arrive."""
        busy = self._fast_path is not None and self._fast_path.busy
        return self._waits and not self._messages and not self._head_begun and not busy

    def unused_for(self) -> float:
        """Seconds for which no request has been under way; one whose head is not whole does not count. 0: one is."""
        busy = not self._waits or self._messages or (self._fast_path is not None and self._fast_path.busy)
        if busy or self._force_close:
            return 0.0
        return self._loop.time() - (self._next_keepalive_close_time - self._keepalive_timeout)

    @property
    def new(self) -> bool:
        """Whether no request has come yet."""
        return self._request_count == 0

    @property
    def stays_silent(self) -> bool:
        """Whether it is idle, and not because its first request is still on the way."""
        return self.idle and not self._force_close and not (self.new and self.unused_for() < _FIRST_WORD)

    @property
    def draining(self) -> bool:
        """Whether the listener is about to end, so that each answer asks the peer to close."""
        return self._listener.draining

    @property
    def _waits(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the time for the first request's head."""
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(self._header_timeout, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        """Stops the time when a head is complete, starts it when a head of a later request begins."""
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:
            self._head_begun = False
            self._forget_head_timer()
            last = self._messages[-1][0] if self._messages else None
            if isinstance(last, _ErrInfo):
                self._given_up(last)
        elif self._force_close:
            self._drop(data)
        elif data and self._waits:
            self._head_begun = True
            if self._head_timer is None:
                self._head_timer = self._loop.call_later(self._header_timeout, self._head_is_late)

    def _drop(self, data: bytes) -> None:
        """A peer that has been refused may end what it was sending; what is much more than that is not even read."""
        self._dropped += len(data)
        if self._dropped > MAX_HEAD and self.transport is not None:
            self.transport.pause_reading()

    def _given_up(self, last: _ErrInfo) -> None:
        """The parser understands no more."""
        last.exc.__traceback__ = None  # its frames hold this connection, and the error
        if self._current_request is not None:
            # Inside a body aiohttp reports it to nobody: its reader would wait forever.
            self._current_request._cancel(
                web.RequestPayloadError("the framing of the body is not valid according to RFC 9112")
            )

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forgets the timer with the connection, and who would hold it in a cycle."""
        self._forget_head_timer()
        serving = self._task_handler
        super().connection_lost(exc)
        self._fast_path = self.flow = None
        if serving is not None:
            serving.add_done_callback(_forget_cancellation)

    def pause_writing(self) -> None:
        """The client is slower than what is written to it."""
        super().pause_writing()
        if self.flow is not None:
            self.flow.pause()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        if self.flow is not None:
            self.flow.resume()

    def _process_keepalive(self) -> None:
        """Not idle while an answer is on its way past aiohttp, which does not know of it."""
        if self._fast_path is not None and self._fast_path.busy:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Lets an answer that is on its way out go first."""
        if self._fast_path is not None:
            await self._fast_path.wait_idle(timeout or 0.0)
        await super().shutdown(timeout)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Asks the peer to close, while draining, in each answer that has not begun."""
        if self.draining and not resp.prepared:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def turn_away(self, refusal: problems.Answer) -> None:
        """Answers without a request, reads nothing more, and closes once the peer has had the time to read it."""
        if self.transport is not None:
            self.transport.write(unasked(refusal))
        self.part()

    def part(self) -> None:
        """Ends what goes to the peer, drops what comes from it, and closes when the peer does, or after a while.

        A close at once would reset what is on its way here, and with the reset take back an answer that the peer has
        not read (RFC 9112, 9.6).
        """
        self._part()
        if self.transport is not None:
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()  # TLS says by itself that no more comes, and waits for the peer to say so

    def _part(self) -> None:
        """Takes nothing more; closes later, since a peer that is still sending would have the answer reset."""
        self._force_close = True
        self._loop.call_later(PARTING, self.force_close)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """One problem document and one log line, where aiohttp has a traceback and a page."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, so an error can no longer be reported")
        if isinstance(exc, (HeadTooLarge, LineTooLong)):
            self._signals.request_malformed(request.remote or "", type(exc).__name__)
            response = respond(problems.answer("head_too_large", f"At most {MAX_HEAD} bytes, and 8190 in one header."))
            self._part()
        elif isinstance(exc, (HttpProcessingError, web.RequestPayloadError)) or status == 400:
            self._signals.request_malformed(request.remote or "", type(exc).__name__)
            response = respond(problems.answer("bad_request", "This is not valid HTTP according to RFC 9112."))
        else:
            self._signals.request_failed(request.method, exc or TimeoutError("an unhandled time-out"))
            response = respond(problems.answer("internal"))
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What aiohttp could not hand to ``handle_error``."""
        error = kw.get("exc_info")
        if isinstance(error, BaseException) and not isinstance(error, web.RequestPayloadError):
            self._signals.request_failed("connection", error)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_begun:
            self.turn_away(problems.answer("header_timeout"))
        else:
            self.force_close()

    def _forget_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Introduced(Connection):
    """A connection for which somebody says who its other end is: a proxy, or the owner of a unix socket."""

    __slots__ = ("_peer", "received")

    def __init__(self, server: Server, *, peer: Peer, **options: Any) -> None:
        super().__init__(server, **options)
        self._peer = peer
        self.received = 0
        """Bytes so far."""

    def data_received(self, data: bytes) -> None:
        """Counts them."""
        self.received += len(data)
        super().data_received(data)

    @property
    def peername(self) -> Peer:
        """Who asks."""
        return self._peer


class Server(web.Server):
    """Makes our connections, and turns new ones away over the limit."""

    def __init__(self, handler: Handler, *, options: dict[str, Any], max_connections: int, **server: Any) -> None:
        super().__init__(handler, **server)
        self._options = options
        self._max_connections = max_connections
        self.arriving = 0
        """Connections on which HTTP has not begun, since a proxy's header or TLS comes first; they count."""
        self.draining = False
        """While set, each answer asks its peer to close; requests are still served."""

    def __call__(self) -> RequestHandler:
        """One connection. A wrong option is an error here, not a warning that drops all options."""
        return Connection(self, loop=self._loop, **self._options)

    def connection(self, peer: Peer) -> Introduced:
        """One connection with this peer, wherever its socket leads."""
        return Introduced(self, peer=peer, loop=self._loop, **self._options)

    def admits_one_more(self) -> bool:
        """Whether there is room for another connection, if need be that of one that waits."""
        return len(self._connections) + self.arriving < self._max_connections or self._one_made_room()

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Counts the connection; over the limit one that waits makes room, or this one gets a 503."""
        super().connection_made(handler, transport)
        surplus = len(self._connections) - self._max_connections
        if surplus > 0 and self._one_made_room():
            return
        if surplus > _PARTING_CONNECTIONS:
            handler._force_close = True
            transport.abort()
        elif surplus > 0 and isinstance(handler, Connection):
            handler.turn_away(problems.answer("overloaded", "Too many connections."))

    def _one_made_room(self) -> bool:
        """Whether one of the oldest connections could be closed since nothing is asked on it: others ask something.

        A stranger could otherwise keep everybody out, the probes too, by connections on which nothing is said.
        """
        for connection in islice(self._connections, _LOOKED_AT):
            if isinstance(connection, Connection) and connection.unused_for() > GRACE:
                connection.force_close()
                return True
        return False

    def busy(self) -> set[Connection]:
        """The connections on which something is under way."""
        return {each for each in self._connections if isinstance(each, Connection) and not each.idle}

    def part_from_silent(self) -> bool:
        """Parts from the connections on which nothing is under way; whether a peer has not closed yet after that."""
        for connection in self.connections:
            if isinstance(connection, Connection) and connection.stays_silent:
                connection.part()
        return any(connection._force_close for connection in self._connections)


def _forget_cancellation(task: asyncio.Task[None]) -> None:
    """aiohttp's task keeps itself in its frame, and with how it was cancelled also that frame."""
    if task.cancelled():
        with suppress(asyncio.CancelledError):
            task.exception()


def path_of(request: web.BaseRequest) -> str:
    """The path and query of a request's target, also where it has the absolute form (RFC 9112, 3.2.2)."""
    target = request.raw_path
    return target if target.startswith("/") else request.rel_url.raw_path_qs


def respond(refusal: problems.Answer) -> web.Response:
    return web.Response(status=refusal.status, body=refusal.body, headers=dict(refusal.headers))


def unasked(refusal: problems.Answer) -> bytes:
    """An answer to a request that was not, or not wholly, read."""
    headers = {**refusal.headers, "Connection": "close", "Content-Length": str(len(refusal.body))}
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + refusal.body
