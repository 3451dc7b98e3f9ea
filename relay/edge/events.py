"""``GET /v1/events``: the journal as a stream for consumers without a broker, in pages or live."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from aiohttp import hdrs, web

from relay.core.cloudevents import structured_json
from relay.core.errors import RelayError
from relay.core.event import TOPICS, Entry
from relay.edge.api import Refused, whole_number
from relay.edge.story import shown
from relay.journal.journal import Journal

EVENT_STREAM = "text/event-stream"
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_OFFSET = (1 << 63) - 1

MAX_PAGE = 4 << 20
"""Bytes of data in one page, but at least one event: an answer of a thousand large events would be a gigabyte."""

_SCAN = 1000
_MAX_SCANS = 20  # a filter that matches little must not hold the journal for long; the client asks on from `next`


@dataclass(frozen=True, slots=True)
class Pace:
    """Of a live stream, in seconds: silence before a comment is sent, and a client's pause before it is cut."""

    heartbeat: float = 15.0
    stuck_after: float = 30.0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a consumer wants; ``None`` is all."""

    topic: str | None = None
    type: str | None = None
    subject: str | None = None

    @property
    def selective(self) -> bool:
        """Whether it leaves anything out."""
        return (self.topic, self.type, self.subject) != (None, None, None)

    def takes(self, entry: Entry) -> bool:
        """Whether an entry is wanted. A replay for one sink is not: it was here before, under its first offset."""
        event = entry.event
        return (
            entry.sink is None
            and self.topic in (None, event.topic)
            and self.type in (None, event.type)
            and self.subject in (None, event.subject)
        )


class Events:
    """Serves ``/v1/events``. ``stop`` ends the live streams; each resumes elsewhere by its ``Last-Event-ID``."""

    def __init__(self, journal: Journal, pace: Pace | None = None) -> None:
        self._journal = journal
        self._pace = pace or Pace()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends every live stream at the next event border."""
        self._stopping.set()

    async def get(self, request: web.Request) -> web.StreamResponse:
        """A page, or a live stream where the client accepts one."""
        wanted = _filter(request)
        if EVENT_STREAM in request.headers.get(hdrs.ACCEPT, ""):
            return await self._stream(request, wanted)
        limit = whole_number(request.query.get("limit"), "limit", least=1, most=MAX_LIMIT, default=DEFAULT_LIMIT)
        entries, scanned = await self._page(self._after(request.query.get("after"), "after"), limit, wanted)
        return web.Response(body=_page_json(entries, scanned), headers={hdrs.CONTENT_TYPE: "application/json"})

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

    async def _page(self, after: int, limit: int, wanted: Filter) -> tuple[list[Entry], int]:
        """At most ``limit`` wanted entries of ``MAX_PAGE`` bytes, and the offset up to which none is left out."""
        found: list[Entry] = []
        size = 0
        for _ in range(_MAX_SCANS):
            last = self._journal.last_offset
            entries = await self._journal.read(after, _SCAN if wanted.selective else limit - len(found), MAX_PAGE)
            for entry in entries:
                if wanted.takes(entry):
                    size += len(entry.event.data)
                    if found and size > MAX_PAGE:
                        return found, after
                    found.append(entry)
                after = entry.offset
                if len(found) == limit:
                    return found, after
            if not entries:
                after = max(after, last)  # offsets may end in a gap: a sink knew more of this journal than it holds
            if after >= self._journal.last_offset:
                break
        return found, after

    async def _stream(self, request: web.Request, wanted: Filter) -> web.StreamResponse:
        resumed = request.headers.get("Last-Event-ID")
        after = self._after(resumed, "Last-Event-ID") if resumed else self._after(request.query.get("after"), "after")
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: EVENT_STREAM,
                hdrs.CACHE_CONTROL: "no-cache, no-transform",
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        try:
            await self._follow(request, response, after, wanted)
        except RelayError as error:
            # The answer has begun, so this can only be told by ending it without the last chunk.
            raise ConnectionResetError("the journal cannot be read") from error
        return response

    async def _follow(self, request: web.Request, response: web.StreamResponse, after: int, wanted: Filter) -> None:
        await self._write(request, response, b": the stream goes on live; resume with Last-Event-ID\n\n")
        while not self._stopping.is_set():
            entries, after = await self._page(after, MAX_LIMIT, wanted)
            if entries:
                await self._write(request, response, b"".join(map(_frame, entries)))
            elif after >= self._journal.last_offset and not await self._news(after):
                await self._write(request, response, b": still here\n\n")

    async def _write(self, request: web.Request, response: web.StreamResponse, data: bytes) -> None:
        """Writes; a client that has stopped reading is cut instead of being waited for without end."""
        try:
            async with asyncio.timeout(self._pace.stuck_after):
                await response.write(data)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client stopped reading") from None

    async def _news(self, after: int) -> bool:
        """Waits for an event, the end, or the time for a heartbeat (``False``)."""
        waiters = [asyncio.ensure_future(self._journal.wait(after)), asyncio.ensure_future(self._stopping.wait())]
        try:
            done, _ = await asyncio.wait(waiters, timeout=self._pace.heartbeat, return_when=asyncio.FIRST_COMPLETED)
            return bool(done)
        finally:
            for waiter in waiters:
                waiter.cancel()


def _filter(request: web.Request) -> Filter:
    topic = request.query.get("topic")
    if topic is not None and topic not in TOPICS:
        raise Refused("bad_request", f"The parameter topic must be one of {', '.join(TOPICS)}.")
    return Filter(topic, request.query.get("type") or None, request.query.get("subject") or None)


def _page_json(entries: Sequence[Entry], scanned: int) -> bytes:
    return orjson.dumps({"events": [shown(entry) for entry in entries], "next": scanned})


def _frame(entry: Entry) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        entry.offset,
        entry.event.type.encode(),
        structured_json(entry.event),
    )
