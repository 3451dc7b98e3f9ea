"""``GET /v1/events``: the journal as a stream for consumers without a broker, in pages or live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final

import orjson
from aiohttp import hdrs, web

from relay.clocks import wall_ms
from relay.core.chat.api import Api
from relay.core.cloudevents import structured_json
from relay.core.errors import RelayError
from relay.core.event import TOPICS, TYPES, Entry
from relay.core.event_filter import EventFilter
from relay.core.pruned import pruned_event
from relay.edge.api.consumers import Consumer, ConsumerLimits, Consumers
from relay.edge.api.event_reader import PIECE_EVENTS, EventReader
from relay.edge.api.guard import (
    IDENTITY,
    MAX_OFFSET,
    is_wanted,
    json_response,
    page_limit,
    peer_of,
    several_of,
    whole_number,
)
from relay.edge.api.ranges import Range, newest, place_before, range_in
from relay.edge.api.subject_events import all_shown, shown
from relay.edge.http.problems import ProblemError
from relay.journal.event_log import EventLog
from relay.telemetry.signals.consumers import ConsumerSignals
from relay.upstream import RawHeaders

EVENT_STREAM: Final = "text/event-stream"

PAGE_BYTES: Final = 4 << 20
"""Of the data of the events of a page, which ends with the piece that reaches it."""

_MAX_READS: Final = 100  # a filter that matches little must not hold a request for long; the client asks on from `next`
_STREAM_HEADERS: Final = [
    (b"Content-Type", EVENT_STREAM.encode()),
    (b"Cache-Control", b"no-cache, no-transform"),
    (b"X-Accel-Buffering", b"no"),
]
_PAGE_HEADERS: Final = [(b"Content-Type", b"application/json")]


class Events:
    """Serves ``/v1/events``. A live stream that ends goes on elsewhere, by its ``Last-Event-ID``."""

    def __init__(
        self,
        events: EventLog,
        signals: ConsumerSignals,
        limits: ConsumerLimits | None = None,
        client_of: Callable[[web.Request], str] = peer_of,
        identity: str = "",
        apis: Sequence[Api] = (),
    ) -> None:
        self._events, self._apis = events, apis
        self._whose = (IDENTITY.encode(), identity.encode())  # these answers are written here, not by the guard
        self._limits = limits or ConsumerLimits()
        self.consumers = Consumers(self._limits, signals, client_of)

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (web.get("/v1/events", self.get),)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """A page, or a live stream where the client accepts one."""
        wanted, apis = _filter(request), self._apis if is_wanted(request, "choices") else ()
        if EVENT_STREAM in request.headers.get(hdrs.ACCEPT, ""):
            return await self._stream(request, wanted, apis)
        limit = page_limit(request)
        asked = await range_in(request, self._events)
        after = max(asked.first - 1, self._after(request.query.get("after"), "after"))
        if (before := place_before(request)) is not None:
            return await self._newest(before, wanted, Range(after + 1, asked.last), limit, apis)
        reader = EventReader(self._events, after, wanted, asked.last, texts=_texts(apis))
        with self.consumers.admitted(request, "page") as consumer:
            async with aclosing(_page(consumer, reader, limit, apis)) as parts:
                await _write_page(consumer, parts, [*_PAGE_HEADERS, self._whose])
            return await consumer.answer()

    async def _newest(
        self, before: int, wanted: EventFilter, span: Range, limit: int, apis: Sequence[Api]
    ) -> web.Response:
        """A page that begins with the newest; ``next`` is the ``before`` of the next page, null at the end."""
        found = await newest(self._events, before, wanted, span, limit)
        entries = await all_shown(found.entries, apis)
        return json_response({"events": entries, "next": found.next, "pruned": None})

    def _after(self, text: str | None, name: str) -> int:
        """Where to go on. An offset that this journal never gave would wait forever and miss all until then."""
        last = self._events.last_offset
        if text == "latest":
            return last
        after = whole_number(text, name, most=MAX_OFFSET, default=0)
        if after > last:
            detail = f"{name} is beyond the last offset, {last}: it belongs to another journal. Start again from 0."
            raise ProblemError("bad_request", detail)
        return after

    async def _stream(self, request: web.Request, wanted: EventFilter, apis: Sequence[Api]) -> web.StreamResponse:
        if misplaced := [name for name in ("before", "since", "until") if name in request.query]:
            detail = f"A live stream goes on from after or Last-Event-ID; it takes no {misplaced[0]}."
            raise ProblemError("bad_request", detail)
        resumed = request.headers.get("Last-Event-ID")
        after = self._after(resumed, "Last-Event-ID") if resumed else self._after(request.query.get("after"), "after")
        with self.consumers.admitted(request, "live") as consumer:
            consumer.begin([*_STREAM_HEADERS, self._whose])
            if request.method != hdrs.METH_HEAD:
                reader = EventReader(self._events, after, wanted, texts=_texts(apis))
                await self._follow(consumer, reader, apis)
            return await consumer.answer()

    async def _follow(self, consumer: Consumer, reader: EventReader, apis: Sequence[Api]) -> None:
        """Until the answer is to end, or the client has gone."""
        consumer.put(b": the stream goes on live; resume with Last-Event-ID\n\n")
        while await consumer.taken() and not consumer.ending.done():
            try:
                if not await self._say(consumer, reader, apis) and not consumer.ending.done():
                    consumer.put(b": still here\n\n")
            except RelayError:
                consumer.fail()
                return

    async def _say(self, consumer: Consumer, reader: EventReader, apis: Sequence[Api]) -> bool:
        """Writes what a live stream says next; ``False`` when it is time for a heartbeat, or for the end."""
        if reader.caught_up and not await self._news(consumer, reader.place):
            return False
        piece = await consumer.read(reader, PIECE_EVENTS, self._limits.heartbeat)
        if piece is not None and piece.pruned is not None:
            now = wall_ms()
            consumer.put(_frame(Entry(piece.pruned.last, now, pruned_event(piece.pruned, now)), apis))
        elif piece is not None and piece.entries:
            consumer.put(b"".join([_frame(entry, apis) for entry in piece.entries]))
        return piece is not None

    async def _news(self, consumer: Consumer, after: int) -> bool:
        """Waits for an event, the end, or the time for a heartbeat (``False``)."""
        news = asyncio.ensure_future(self._events.wait(after))
        try:
            waiters = (news, consumer.ending)
            done, _ = await asyncio.wait(waiters, timeout=self._limits.heartbeat, return_when=asyncio.FIRST_COMPLETED)
            return bool(done)
        finally:
            news.cancel()


async def _page(
    consumer: Consumer, reader: EventReader, limit: int, apis: Sequence[Api]
) -> AsyncGenerator[tuple[bytes, bool], None]:
    """A page in parts of a piece each, and of each part whether it is the last."""
    texts, room, pruned = [b'{"events":['], PAGE_BYTES, None
    found = 0
    for _ in range(_MAX_READS):
        place = reader.place
        piece = await consumer.read(reader, limit - found)
        if piece is None:
            break
        if piece.pruned is not None and (found or pruned is not None):
            reader.place = place  # said at the beginning of the next page
            break
        pruned = pruned or piece.pruned
        texts += [b"," * bool(found or n) + orjson.dumps(shown(entry, apis)) for n, entry in enumerate(piece.entries)]
        room -= sum(len(entry.event.data) for entry in piece.entries)
        found += len(piece.entries)
        del piece  # or it would wait for a slow client, too
        if found == limit or room <= 0 or reader.caught_up:
            break
        if found:
            yield _taken_out(texts), False
    following = None if reader.at_end else reader.place
    texts.append(b'],"next":%b,"pruned":%b}' % (orjson.dumps(following), orjson.dumps(pruned and pruned._asdict())))
    yield _taken_out(texts), True


def _taken_out(texts: list[bytes]) -> bytes:
    """All in one; nothing of it stays behind while it is written."""
    text = b"".join(texts)
    texts.clear()
    return text


async def _write_page(consumer: Consumer, parts: AsyncGenerator[tuple[bytes, bool], None], head: RawHeaders) -> None:
    """The parts as an answer, each read when the client has taken the one before; of a known length if it is one."""
    part, last = await anext(parts)
    consumer.begin([*head, (b"Content-Length", b"%d" % len(part))] if last else head)
    consumer.put(part)
    del part  # nothing is kept here that the client has to take
    try:
        while not last and await consumer.taken():
            part, last = await anext(parts)
            consumer.put(part)
            del part
    except RelayError:
        consumer.fail()


def _filter(request: web.Request) -> EventFilter:
    topics, types = several_of(request, "topic", TOPICS), several_of(request, "type", TYPES)
    return EventFilter(topics, types, request.query.get("subject") or None)


def _texts(apis: Sequence[Api]) -> int:
    """How often the data of an event may come in an answer: once, and where it is asked for what its chunks say."""
    return 2 if apis else 1


def _frame(entry: Entry, apis: Sequence[Api]) -> bytes:
    """The event; where it is asked for what its chunks say, in its place, as a page has it."""
    data = orjson.dumps(shown(entry, apis)) if apis else structured_json(entry.event)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.offset, entry.event.type.encode(), data)
