"""One connection to the upstream: what arrives is passed on in the same turn of the event loop, without a task.

A stream's frames are small and many. Waking a task for each of them costs more than everything else about it, so the
receiver of an answer is called directly, and may write to its client from there.

Why relay has a client of its own, and not aiohttp's or httpx (docs/adr/0005-chat-client.md):

- Bytes go on as they came: header fields keep their order, case and repetitions
  (``test_an_answer_reaches_the_client_byte_for_byte``).
- A slow reader slows its own upstream and holds at most 1 MiB
  (``test_slow_readers_slow_their_own_upstreams_and_no_memory_grows``).
- A frame of a paced stream costs 34.5 us of CPU at 200 streams and 25.6 at 1,000; aiohttp on both sides takes 45.5 and
  31.3 (``make bench-chat``). At full speed, where one read brings many frames, aiohttp is as fast.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from relay.upstream.errors import UpstreamError, UpstreamReset, UpstreamTimeout
from relay.upstream.wire import MAX_HEAD, Body, Head, Malformed, body_of, lives_on, parse_head

_COPIED = 64 << 10
"""Bytes of a body that go in one write with the head, which copies them."""


class Receiver(Protocol):
    """Takes an answer: ``answered``, any number of ``received``, then ``ended`` or ``failed``; ``failed`` at any time.

    Called from within the event loop's read; nothing is called any more after the end, or after ``cancel``.
    """

    def answered(self, head: Head) -> None: ...

    def received(self, piece: bytes) -> None: ...

    def ended(self) -> None: ...

    def failed(self, error: UpstreamError) -> None: ...


class Connection(asyncio.Protocol):
    """Serves one request after the other. ``freed`` is called when it may serve the next one, or has closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, freed: Callable[[Connection], None]) -> None:
        self._loop = loop
        self._freed = freed
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._method = ""
        self._head: Head | None = None
        self._begun = b""
        self._body: Body | None = None
        self._sending = False
        self._limits = (0.0, 0.0)
        self._waiting_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._writable: asyncio.Future[None] | None = None
        self._flushed: Callable[[], None] | None = None
        self.tls: ssl.SSLObject | None = None
        """What was negotiated with the upstream; ``None`` in clear text."""

    # -- for the client ----------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(
        self,
        method: str,
        head: bytes,
        body: bytes | bytearray,
        receiver: Receiver,
        first_byte: float,
        idle: float,
        *,
        more: bool = False,
        flushed: Callable[[], None] | None = None,
    ) -> None:
        """Sends a request. ``more``: the rest of its body follows by ``write``, and ``sent`` marks its end.

        ``flushed`` is called once the kernel has nearly all of it, so that the body is held here no more.
        """
        assert self._transport is not None, "only an open connection can send"
        self._method, self._receiver = method, receiver
        self._head, self._body, self._begun = None, None, b""
        self._limits = (first_byte, idle)
        self._sending = more
        if len(body) <= _COPIED:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        self._flushed = flushed
        if self._writable is None:
            self._flush()
        if not more:
            self.sent()

    def _flush(self) -> None:
        flushed, self._flushed = self._flushed, None
        if flushed is not None:
            flushed()

    async def write(self, piece: bytes) -> None:
        """A further piece of the request's body; waits while the upstream is slow. Raises ``ConnectionError``."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the upstream has closed the connection")
        self._transport.write(piece)
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def sent(self) -> None:
        """The request is out: the time for its answer begins."""
        self._sending = False
        self._start_timer()

    def cancel(self) -> None:
        """The answer is not wanted any more: its connection is closed, and the upstream sees that."""
        self._receiver = None
        self._forget_timer()
        if self._transport is not None:
            self._transport.abort()

    def retire(self) -> None:
        """Serves what is under way, and is closed then: new requests go another way."""
        freed = self._freed

        def last(connection: Connection) -> None:
            connection.cancel()
            freed(connection)

        self._freed = last

    def pause(self) -> None:
        """Reads no further until ``resume``: the upstream feels that the client is slow."""
        self._paused = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Goes on reading."""
        self._paused = False
        self._waiting_since = self._loop.time()  # the silence was ours
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # -- for the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there, TLS included."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not instances of it
        self.tls = transport.get_extra_info("ssl_object")

    def data_received(self, data: bytes) -> None:
        """Hands on what came."""
        if self._receiver is None:
            self.cancel()  # an answer that nobody asked for: the connection is out of step
            return
        self._waiting_since = self._loop.time()
        try:
            self._take(data)
        except Malformed as error:
            self._fail(UpstreamReset(str(error)))

    def eof_received(self) -> bool:
        """The upstream sends no more; the transport closes itself."""
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end of an answer that has no other, or a failure."""
        self._transport = self._flushed = None
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._receiver is not None:
            self._break_off(exc)
        self._freed(self)

    def _break_off(self, exc: BaseException | None) -> None:
        if exc is None and self._body is not None and self._body.open_ended:
            self._end(again=False)
        elif self._head is None:
            self._fail(UpstreamReset("it closed the connection before an answer"))
        else:
            self._fail(UpstreamReset("it closed the connection in the middle of the answer"))

    def pause_writing(self) -> None:
        """The upstream takes the request slower than it comes."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        self._flush()

    # -- inside ------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        if self._body is None:
            data = self._take_head(data)
        body, receiver = self._body, self._receiver
        if body is None or receiver is None:
            return  # the head is not whole yet, or the receiver wants no more
        piece = body.take(data) if data else b""
        if piece:
            receiver.received(piece)
        if body.done and self._receiver is receiver:
            self._end(again=not body.surplus)

    def _take_head(self, data: bytes) -> bytes:
        """Reads the head; answers what follows it. Interim answers are for this connection only (RFC 9110, 15.2)."""
        data = self._begun + data
        while True:
            stop = data.find(b"\r\n\r\n")
            if max(stop, 0 if stop >= 0 else len(data)) > MAX_HEAD:
                raise Malformed("the answer's header section is too long")
            if stop < 0:
                self._begun = data
                return b""
            head = parse_head(data[: stop + 4])
            data = data[stop + 4 :]
            if head.status >= 200:
                break
            if head.status == 101:
                raise Malformed("it switched protocols without being asked")
        self._head, self._body, self._begun = head, body_of(self._method, head), b""
        self._start_timer()
        assert self._receiver is not None
        self._receiver.answered(head)
        return data

    def _end(self, *, again: bool) -> None:
        receiver, self._receiver = self._receiver, None
        head, self._body = self._head, None
        self._forget_timer()
        if self._paused:
            self.resume()
        again = again and head is not None and lives_on(head) and not self._sending
        if again and self.open:
            self._freed(self)
        elif self._transport is not None:
            self._transport.abort()
        if receiver is not None:
            receiver.ended()

    def _fail(self, error: UpstreamError) -> None:
        receiver = self._receiver
        self.cancel()
        if receiver is not None:
            receiver.failed(error)

    def _start_timer(self) -> None:
        self._forget_timer()
        self._waiting_since = self._loop.time()
        self._timer = self._loop.call_later(self._limits[self._head is not None], self._check_time)

    def _check_time(self) -> None:
        """One timer for many pieces: it looks when the last one came, and comes back when that is too long ago."""
        self._timer = None
        if self._receiver is None:
            return
        answered = self._head is not None
        limit = self._limits[answered]
        left = limit if self._paused or self._sending else self._waiting_since + limit - self._loop.time()
        if left > 0.001:
            self._timer = self._loop.call_later(left, self._check_time)
        elif answered:
            self._fail(UpstreamTimeout("idle_timeout", limit, sent=True))
        else:
            self._fail(UpstreamTimeout("first_byte_timeout", limit, sent=True))

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
