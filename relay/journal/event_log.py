"""The events of an open journal, as its readers see them: the newest from memory, all others from disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from relay.core.event import Entry, fitting
from relay.core.event_filter import EventFilter
from relay.journal.offset_counter import OffsetCounter
from relay.journal.plan import Known
from relay.journal.queries import MOST_DIGESTS, Digests, Newest, Subjects
from relay.journal.reader import Reader, Readers
from relay.journal.store import Store

TAIL_EVENTS = 6_000
TAIL_BYTES = 6 << 20
"""What is kept in memory of the newest events, so that sinks and readers which keep up never touch the disk."""


class EventLog:
    """In one event loop. ``last_offset`` and ``first_offset`` are those of the newest and of the oldest event."""

    def __init__(self, store: Store, readers: Readers) -> None:
        self.last_offset = store.newest_offset()
        """The next one's may be further on, but nobody waits for what is not there."""
        self.first_offset = store.oldest_offset() or store.last_offset + 1
        self.counter = OffsetCounter(store.forks, store.addressed(0))
        self._readers = readers
        self._tail: list[Entry] = []
        self._tail_bytes = 0
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def read(self, after: int, limit: int, max_bytes: int = 4 << 20) -> list[Entry]:
        """The entries after an offset, oldest first; at least one if there is one. Does not wait."""
        if after >= self.last_offset:
            return []
        if self._tail and after >= self._tail[0].offset - 1:
            start = after - self._tail[0].offset + 1
            return fitting(self._tail[start : start + limit], max_bytes)
        entries = await self._readers.call(Reader.read, after, limit, max_bytes)
        # A reader sees a commit before this loop has heard of it, and so before its events are counted.
        while entries and entries[-1].offset > self.last_offset:
            del entries[-1]
        return entries

    async def pick(self, offsets: Sequence[int], max_bytes: int = 4 << 20) -> list[Entry]:
        """Those of the entries that are held, in order, up to so many bytes of data; at least one if there is one."""
        return await self._readers.call(Reader.pick, offsets, max_bytes) if offsets else []

    async def newest(self, before: int, wanted: EventFilter, first: int, limit: int, max_bytes: int) -> Newest:
        """Wanted entries from one offset to below another, newest first: see ``Queries.newest``."""
        before = min(before, self.last_offset + 1)
        return await self._readers.call(Reader.newest, before, wanted, first, limit, max_bytes)

    async def subjects(self, prefix: str, before: int, limit: int) -> Subjects:
        """Subjects that begin so, of the events below an offset, newest first: see ``Queries.subjects``."""
        return await self._readers.call(Reader.subjects, prefix, min(before, self.last_offset + 1), limit)

    async def digests(
        self, before: int, wanted: EventFilter, first: int, paths: Sequence[str], limit: int = MOST_DIGESTS
    ) -> Digests:
        """Some values out of the data of wanted events, newest first: see ``Queries.digests``."""
        before = min(before, self.last_offset + 1)
        return await self._readers.call(Reader.digests, before, wanted, first, paths, limit)

    async def first_accepted_from(self, at: int) -> int:
        """The offset of the first event accepted at an instant or later: see ``Queries.first_accepted_from``."""
        return await self._readers.call(Reader.first_accepted_from, at)

    async def offsets_about(self, subject: str, after: int, limit: int) -> list[int]:
        """Where contradictions, progress, dead letters and replays with this subject are, beyond an offset."""
        return await self._readers.call(Reader.offsets_about, subject, after, limit)

    async def known(self, keys: Sequence[bytes]) -> Known:
        """Which facts the journal knows: those of the dedup keys, each with its fingerprint and its event's offset."""
        return await self._readers.call(Reader.known, keys)

    async def known_beginning(self, prefix: bytes, after: int, limit: int) -> list[int]:
        """Where the facts are whose keys begin so, beyond an offset: see ``DedupIndex.beginning_with``."""
        return await self._readers.call(Reader.known_beginning, prefix, after, limit)

    async def wait(self, after: int) -> None:
        """Returns when there is an event beyond ``after``."""
        while self.last_offset <= after:
            await asyncio.shield(self._news)

    async def first_accepted_at(self, after: int) -> int | None:
        """When the first event beyond an offset was accepted (epoch milliseconds); ``None``: there is none."""
        if after >= self.last_offset:
            return None
        if self._tail and after >= self._tail[0].offset - 1:
            return self._tail[after - self._tail[0].offset + 1].accepted_at
        return await self._readers.call(Reader.accepted_at, after)

    def count(self) -> int:
        """Events in the journal, published or not."""
        return self.counter.events(self.first_offset - 1, self.last_offset)

    def added(self, entries: Sequence[Entry]) -> None:
        """These are on disk, in order; all who wait hear of it."""
        if self._tail and entries[0].offset != self._tail[-1].offset + 1:
            # A fork left a gap before these; reading finds its place by counting, so the tail has none.
            self._tail.clear()
            self._tail_bytes = 0
        self.counter.add(entries)
        self._tail.extend(entries)
        self._tail_bytes += sum(len(entry.event.data) for entry in entries)
        self.last_offset = entries[-1].offset
        self._trim()
        self._news.set_result(None)
        self._news = asyncio.get_running_loop().create_future()

    def _trim(self) -> None:
        """Cuts the tail to half its limit, so that the cost of cutting is spread over many groups."""
        if len(self._tail) <= TAIL_EVENTS and self._tail_bytes <= TAIL_BYTES:
            return
        keep = 0
        size = 0
        while keep < min(len(self._tail), TAIL_EVENTS // 2) and size < TAIL_BYTES // 2:
            keep += 1
            size += len(self._tail[-keep].event.data)
        del self._tail[:-keep]
        self._tail_bytes = size

    def pruned(self, oldest: int | None) -> None:
        """The events before ``oldest`` are gone; ``None``: all are."""
        self.first_offset = self.last_offset + 1 if oldest is None else oldest
        self.counter.forget(self.first_offset - 1)
