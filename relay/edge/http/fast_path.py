"""A shortcut for deliveries that arrive in one piece.

A webhook is about a kilobyte: head and body nearly always come in one read. aiohttp's ordinary way (wake the
connection's task, start a task for the request, build its request, writer and response, write) then costs more than
everything the relay itself does for a delivery. The fast path looks at each parsed request; one that is whole, alone on
its connection, and accepted goes straight to the journal, and its answer is written when the commit is done. All
else (a body in pieces, pipelining, a refusal, any other route) goes the ordinary way, with the same checks and the
same answers: the fast path only ever answers what it has given to the journal.

It rests on private names of aiohttp, which ``aiohttp_internals`` checks at start. It saves 30 us a delivery
(bench/README.md); why it stands behind aiohttp's parser is in docs/adr/0010-fast-path.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import hdrs
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from relay.edge.http import problems
from relay.edge.http.heads import MAX_HEAD, HeadLimit

MAX_BODY = 32 << 10
"""Bytes. A larger body may have paused the connection's reading, which the ordinary way knows how to resume."""

Message = RawRequestMessage
"""The head of a request as aiohttp's parser gives it: method, target, version, headers."""

Parsed = tuple[RawRequestMessage | _ErrInfo, StreamReader]

_HEAD = "HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\nDate: %s\r\n\r\n"
_OK_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nDate: %s\r\n\r\n"


Respond = Callable[["bytes | problems.Answer"], None]
"""Takes the JSON body of a 200, or a refusal."""


class Shortcut(Protocol):
    """What can answer a whole request without the ordinary way."""

    def take(self, message: RawRequestMessage, body: bytes, remote: str, respond: Respond) -> bool:
        """Whether the request is taken: ``respond`` is then called once, later. If not, nothing has happened."""


class Drainable(Protocol):
    """A server that, while it drains, says more in its answers than the fast path does."""

    draining: bool


class FastPath:
    """Stands before the parser of one connection and keeps for itself what it can answer."""

    def __init__(self, connection: RequestHandler, heads: HeadLimit, shortcut: Shortcut, server: Drainable) -> None:
        self._connection = connection
        self._heads = heads
        self._parser = heads.parser
        self._shortcut, self._server = shortcut, server
        self._held: list[Parsed] = []
        self._remote = ""
        self._idle: asyncio.Future[None] | None = None
        self.busy = False
        """Whether an answer is on its way."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._heads, name)

    def feed_data(self, data: bytes) -> tuple[Sequence[Parsed], bool, bytes]:
        """What the parser made of the data, less what the fast path has taken or holds back until its answer is out."""
        heads = self._heads
        try:
            if heads.between and len(data) <= MAX_HEAD:  # nearly always, and two frames less
                messages, upgraded, tail = self._parser.feed_data(data)
                if not messages or not messages[-1][1].is_eof():
                    heads.follow(messages, data)
            else:
                messages, upgraded, tail = heads.feed_data(data)
        except HttpProcessingError as error:
            if not self.busy:
                raise
            error.__traceback__ = None  # its frames hold what holds the error
            messages, upgraded, tail = [(_ErrInfo(400, error, error.message), EMPTY_PAYLOAD)], False, b""
        if not messages:
            return messages, upgraded, tail
        if self.busy:
            # Answers must come in the order of the requests (RFC 9112, 9.3.2).
            self._held.extend(messages)
            self._connection._request_count += len(messages)
            self._pause()
            return (), upgraded, tail
        if len(messages) == 1 and not upgraded and self._is_idle() and self._take(*messages[0]):
            return (), upgraded, tail
        return messages, upgraded, tail

    async def wait_idle(self, timeout: float) -> None:
        """Returns when no answer is on its way any more, or after ``timeout`` seconds."""
        if self.busy:
            self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._idle,), timeout=timeout)

    def _is_idle(self) -> bool:
        connection = self._connection
        waiter = connection._waiter
        return waiter is not None and not waiter.done() and not connection._messages

    def _take(self, message: RawRequestMessage | _ErrInfo, payload: StreamReader) -> bool:
        if self._server.draining or isinstance(message, _ErrInfo) or not _is_whole(message, payload):
            return False
        connection = self._connection
        if not self._remote:
            peer = connection.peername
            self._remote = peer[0] if isinstance(peer, tuple) else ""
        if not self._shortcut.take(message, b"".join(payload._buffer), self._remote, self._respond):
            return False
        self._parser.message_consumed()
        connection._request_count += 1
        self.busy = True
        return True

    def _respond(self, answer: bytes | problems.Answer) -> None:
        self.busy = False
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        connection = self._connection
        if connection.transport is None:
            return  # the client has gone; its event is written all the same
        connection.transport.write(_rendered(answer))
        connection._next_keepalive_close_time = connection._loop.time() + connection.keepalive_timeout
        if self._held:
            self._release()

    def _release(self) -> None:
        """Gives what came meanwhile to the ordinary way."""
        held, self._held = self._held, []
        connection = self._connection
        connection._messages.extend(held)
        waiter = connection._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)  # reading goes on when these are served: the parser may hold more of them

    def _pause(self) -> None:
        """A sender that pipelines is read no further than this while its first answer is pending."""
        self._connection._pause_reading_for_buffer()


def _is_whole(message: RawRequestMessage, payload: StreamReader) -> bool:
    return (
        message.method == hdrs.METH_POST
        and payload is not EMPTY_PAYLOAD
        and payload.is_eof()
        and not message.should_close
        and not message.chunked
        and not message.compression
        and payload.total_bytes <= MAX_BODY
        and hdrs.EXPECT not in message.headers
    )


def _rendered(answer: bytes | problems.Answer) -> bytes:
    if isinstance(answer, bytes):
        return (_OK_HEAD % (len(answer), rfc822_formatted_time())).encode() + answer
    headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    head = _HEAD % (answer.status, HTTPStatus(answer.status).phrase, headers, len(answer.body), rfc822_formatted_time())
    return head.encode() + answer.body
