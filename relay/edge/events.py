"""``GET /v1/events``: the journal as a stream for consumers without a broker, in pages or live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

import orjson
from aiohttp import hdrs, web

from relay.core.cloudevents import structured_json
from relay.core.errors import RelayError
from relay.core.event import TOPICS, Event
from relay.core.pruned import pruned_event
from relay.edge.api import Refused, whole_number
from relay.edge.consumers import Consumer, Consumers, Pace, Signals
from relay.edge.event_reader import PIECE_BYTES, EventReader, Filter
from relay.edge.story import shown
from relay.journal.journal import Journal

EVENT_STREAM: Final = "text/event-stream"
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
MAX_OFFSET: Final = (1 << 63) - 1

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
    """Serves ``/v1/events``. ``stop`` ends the live streams; each resumes elsewhere by its ``Last-Event-ID``."""

    def __init__(self, journal: Journal, signals: Signals, pace: Pace | None = None) -> None:
        self._journal = journal
        self._pace = pace or Pace()
        self._consumers = Consumers(self._pace, signals)

    def stop(self) -> None:
        """Ends every live stream at the next event border."""
        self._consumers.stop()

    def end_unless(self, admitted: Callable[[web.Request], bool]) -> None:
        """Ends the live streams of those who would not be admitted any more."""
        self._consumers.end_unless(admitted)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """A page, or a live stream where the client accepts one."""
        wanted = _filter(request)
        if EVENT_STREAM in request.headers.get(hdrs.ACCEPT, ""):
            return await self._stream(request, wanted)
        limit = whole_number(request.query.get("limit"), "limit", least=1, most=MAX_LIMIT, default=DEFAULT_LIMIT)
        reader = EventReader(self._journal, self._after(request.query.get("after"), "after"), wanted)
        with self._consumers.admitted(request, "page") as consumer:
            async with aclosing(_page(reader, limit)) as parts:
                await _write_page(consumer, parts)
            return await consumer.answer()

    def _after(self, text: str | None, name: str) -> int:
        """Where to go on. An offset that this journal never gave would wait for ever and miss all until then."""
        last = self._journal.last_offset
        if text == "latest":
            return last
        after = whole_number(text, name, most=MAX_OFFSET, default=0)
        if after > last:
            detail = f"{name} is beyond the last offset, {last}: it was given by another journal. Start again from 0."
            raise Refused("bad_request", detail)
        return after

    async def _stream(self, request: web.Request, wanted: Filter) -> web.StreamResponse:
        resumed = request.headers.get("Last-Event-ID")
        after = self._after(resumed, "Last-Event-ID") if resumed else self._after(request.query.get("after"), "after")
        with self._consumers.admitted(request, "live") as consumer:
            consumer.begin(_STREAM_HEADERS)
            if request.method != hdrs.METH_HEAD:
                await self._follow(consumer, EventReader(self._journal, after, wanted))
            return await consumer.answer()

    async def _follow(self, consumer: Consumer, reader: EventReader) -> None:
        """Until the answer is to end, or the client has gone."""
        consumer.put(b": the stream goes on live; resume with Last-Event-ID\n\n")
        while await consumer.taken() and not consumer.ending.done():
            try:
                said = await _say(consumer, reader)
            except RelayError:
                consumer.fail()
                return
            if not said and reader.caught_up and not await self._news(consumer, reader.place):
                consumer.put(b": still here\n\n")

    async def _news(self, consumer: Consumer, after: int) -> bool:
        """Waits for an event, the end, or the time for a heartbeat (``False``)."""
        news = asyncio.ensure_future(self._journal.wait(after))
        try:
            waiters = (news, consumer.ending)
            done, _ = await asyncio.wait(waiters, timeout=self._pace.heartbeat, return_when=asyncio.FIRST_COMPLETED)
            return bool(done)
        finally:
            news.cancel()


async def _say(consumer: Consumer, reader: EventReader) -> bool:
    """Writes what a live stream says next. Answers whether there was anything."""
    piece = await reader.next()
    if piece.pruned is not None:
        consumer.put(_frame(piece.pruned.last, pruned_event(piece.pruned, time.time_ns() // 1_000_000)))
    elif piece.entries:
        consumer.put(b"".join([_frame(entry.offset, entry.event) for entry in piece.entries]))
    return piece.pruned is not None or bool(piece.entries)


async def _page(reader: EventReader, limit: int) -> AsyncGenerator[bytes, None]:
    """A page in parts, of which none has much more than a piece."""
    text, separator = bytearray(b'{"events":['), b""
    room, pruned = PAGE_BYTES, None
    for _ in range(_MAX_READS):
        place = reader.place
        piece = await reader.next(limit)
        if piece.pruned is not None and (separator or pruned is not None):
            reader.place = place  # said at the beginning of the next page
            break
        pruned = pruned or piece.pruned
        for entry in piece.entries:
            text += separator + orjson.dumps(shown(entry))
            separator = b","
            room -= len(entry.event.data)
        limit -= len(piece.entries)
        del piece  # or it would wait for a slow client, too
        if not limit or room <= 0 or reader.caught_up:
            break
        if len(text) >= PIECE_BYTES:
            yield bytes(text)
            text.clear()
    yield bytes(text) + b'],"next":%d,"pruned":%b}' % (reader.place, orjson.dumps(pruned and pruned._asdict()))


async def _write_page(consumer: Consumer, parts: AsyncGenerator[bytes, None]) -> None:
    """The parts as an answer, each written when the client has taken the one before; of a known length if it is one."""
    first = await anext(parts)
    following = await anext(parts, None)
    length = [(b"Content-Length", b"%d" % len(first))] if following is None else []
    consumer.begin([*_PAGE_HEADERS, *length])
    consumer.put(first)
    del first  # nothing is kept here that the client has to take
    try:
        while await consumer.taken() and following is not None:
            consumer.put(following)
            following = None
            if await consumer.taken():
                following = await anext(parts, None)
    except RelayError:
        consumer.fail()


def _filter(request: web.Request) -> Filter:
    topic = request.query.get("topic")
    if topic is not None and topic not in TOPICS:
        raise Refused("bad_request", f"The parameter topic must be one of {', '.join(TOPICS)}.")
    return Filter(topic, request.query.get("type") or None, request.query.get("subject") or None)


def _frame(offset: int, event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (offset, event.type.encode(), structured_json(event))
