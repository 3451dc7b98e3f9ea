"""The consumers of events: how many at once, how fast they must read, and which are cut.

A consumer is written to piece by piece, and the next piece is read when it has taken the one before, and there is room
for it beside what the others hold. So one that is slow, or does not read at all, holds one piece of the relay's memory
and a little of the kernel's, and all of them together hold no more than the room.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import web

from relay.edge.api.event_reader import PIECE_BYTES, EventReader, Piece
from relay.edge.api.shares import Room, Share
from relay.edge.http.problems import ProblemError
from relay.edge.http.raw_response import RawResponse, Sent, date
from relay.telemetry.signals.consumers import ConsumerSignals
from relay.upstream import RawHeaders

Kind = Literal["page", "live"]
Outcome = Literal["done", "left", "cut", "stopped", "revoked", "failed"]

ENDING_TIMEOUT = 2.0
"""Seconds for which a consumer that is to end may take nothing: the relay's own end waits for it."""

_KERNEL_AHEAD: Final = 16 << 10
_NOTSENT_LOWAT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)


@dataclass(frozen=True, slots=True)
class ConsumerLimits:
    """Times in seconds: without an event until a live stream gets a comment, and for which a consumer may take nothing.

    ``max_consumers``: pages and live streams under way at once; one client has half of them at most.
    ``room``: bytes of events that all of them may hold.
    """

    heartbeat: float = 15.0
    send_timeout: float = 60.0
    max_consumers: int = 2000
    room: int = 64 << 20


class Consumer:
    """One answer under way: ``begin`` it, ``put`` the pieces that it has ``read``, and return its ``answer``.

    ``fail`` it where the rest cannot be read.
    """

    def __init__(self, request: web.Request, client: str, kind: Kind, room: Room, send_timeout: float) -> None:
        self.request, self.client, self.kind = request, client, kind
        self.outcome: Outcome = "left"
        self._given_up: Sent | None = None
        self.ending: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        """Done when the answer is to end at the next event border."""
        self._outgoing = RawResponse(request, send_timeout)
        self._share, self._needed = Share(room, (client, False)), PIECE_BYTES
        self._hurried: asyncio.TimerHandle | None = None

    async def read(self, reader: EventReader, limit: int, timeout: float | None = None) -> Piece | None:
        """The next piece, once there is room for it, which it takes until the client has ``taken`` all.

        ``None``: there was none for ``timeout`` seconds, or the answer is to end. How large a piece is shows when it
        is read: one that finds no room is read again in its turn, and does not wait in memory for it.
        """
        while await self._turn(timeout):
            place = reader.place
            piece = await reader.next(limit)
            self._needed = piece.size
            if self._share.fit(piece.size):
                self._needed = PIECE_BYTES
                return piece
            reader.place = place
            del piece
        return None

    async def _turn(self, timeout: float | None) -> bool:
        turn = self._share.ask(self._needed)
        if not turn.done():
            await asyncio.wait((turn, self.ending), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return turn.done()

    def begin(self, headers: RawHeaders) -> None:
        """Writes the head of a 200."""
        _in_step(self.request, True)
        self._outgoing.begin(200, b"OK", [*headers, date()])

    def put(self, piece: bytes) -> None:
        """Writes, without waiting: the caller need not keep the piece until it is ``taken``."""
        try:
            self._outgoing.put(piece)
        except ConnectionError:
            self._given_up = self._outgoing.abort()

    async def taken(self) -> bool:
        """Waits until the client has taken all that was written. Answers whether it is still there."""
        if self._given_up is not None:
            return False
        try:
            there = await self._outgoing.drained()
        except ConnectionError:
            there = False
        else:
            self.outcome = self.outcome if there else "cut"
        if not there:
            self._given_up = self._outgoing.abort()
        elif self._share.spent:
            self._share.give_back()
            self._share.group = (self.client, True)
        return there

    async def answer(self) -> Sent:
        """What the client has got: a whole answer, unless it was given up before."""
        if self._given_up is None:
            try:
                sent = self._outgoing.end()
                there = await self._outgoing.drained()
            except ConnectionError:
                return self._outgoing.abort()
            whole: Outcome = self.ending.result() if self.ending.done() else "done"
            self.outcome = whole if there else "cut"
            _in_step(self.request, False)
            return sent
        return self._given_up

    def fail(self) -> None:
        """The rest cannot be read. The answer has begun, so only an end without the last chunk can say so."""
        self._given_up, self.outcome = self._outgoing.abort(), "failed"

    def leave(self) -> None:
        """Makes room for others."""
        self._share.give_back()
        if self._hurried is not None:
            self._hurried.cancel()  # its connection may serve another request by now

    def end(self, outcome: Outcome) -> None:
        """Ends the answer at the next event border, or cuts it where the client does not take what is before that."""
        if not self.ending.done():
            self.ending.set_result(outcome)
            self._hurry()

    def _hurry(self, before: int = 0) -> None:
        untaken = self._outgoing.untaken
        if 0 < before <= untaken:
            self.outcome = "cut"
            self._outgoing.cut()
        else:
            self._hurried = asyncio.get_running_loop().call_later(ENDING_TIMEOUT, self._hurry, untaken)


class Consumers:
    """All of them. ``client_of`` says whose a request is: the consumers of one client share what is theirs."""

    def __init__(
        self, limits: ConsumerLimits, signals: ConsumerSignals, client_of: Callable[[web.Request], str]
    ) -> None:
        self._limits, self._signals, self._client_of = limits, signals, client_of
        self._room = Room(limits.room)
        self._present: set[Consumer] = set()
        self._of: Counter[str] = Counter()
        self._stopped = False

    @contextmanager
    def admitted(self, request: web.Request, kind: Kind) -> Iterator[Consumer]:
        """One more, for as long as the answer takes. Raises ``ProblemError`` at the limit."""
        client = self._client_of(request)
        if full := self._full(client):
            self._signals.consumer_refused(kind, request.remote or "")
            raise ProblemError("too_many_consumers", full)
        consumer = Consumer(request, client, kind, self._room, self._limits.send_timeout)
        if self._stopped:
            consumer.end("stopped")
        self._present.add(consumer)
        self._of[client] += 1
        self._signals.consumer_begun(kind)
        try:
            yield consumer
        finally:
            consumer.leave()
            self._present.discard(consumer)
            self._of[client] -= 1
            if not self._of[client]:
                del self._of[client]
            self._signals.consumer_ended(kind, consumer.outcome, request.remote or "")

    def _full(self, client: str) -> str:
        """Why there is no place for one more of a client's; empty where there is. The other half is for others."""
        most = self._limits.max_consumers
        if len(self._present) >= most:
            return f"server.max_consumers is {most}."
        # Rounded up: of a single place half would be none.
        half = (most + 1) // 2
        return f"This client has {half}, half of server.max_consumers." if self._of[client] >= half else ""

    def stop(self) -> None:
        """Ends all answers that go on by themselves, and those that come."""
        self._stopped = True
        for consumer in self._present:
            consumer.end("stopped")

    def end_unless(self, admitted: Callable[[web.Request], bool]) -> None:
        """Ends the answers to requests that would not be admitted any more."""
        for consumer in self._present:
            if not admitted(consumer.request):
                consumer.end("revoked")


def _in_step(request: web.Request, yes: bool) -> None:
    """Whether each write waits until the client has taken what came before, but for a little in the kernel.

    A kernel that takes megabytes ahead of a slow client would hide for minutes that the client makes progress.
    """
    transport = request.transport
    if transport is not None:
        transport.set_write_buffer_limits(high=1 if yes else None)  # with 0, TLS in asyncio waits for an empty buffer
        beneath = transport.get_extra_info("socket")
        if _NOTSENT_LOWAT is not None and beneath.family != socket.AF_UNIX:
            beneath.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _KERNEL_AHEAD if yes else 0)
