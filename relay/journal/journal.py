"""The journal as the rest of the relay sees it: append, read, wait, and how far each sink has got."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, ParamSpec, Protocol, TypeVar

from relay.core.conceal import Concealed
from relay.core.errors import RelayError
from relay.core.event import Draft, Entry, Receipt
from relay.core.publishing.lineage import Lineage, Names
from relay.journal.errors import DISK_FULL, JournalBroken, JournalUnavailable
from relay.journal.maintenance import Care
from relay.journal.names import open_under
from relay.journal.offset_counter import Census
from relay.journal.plan import Known
from relay.journal.policy import Policy as Policy
from relay.journal.projected import Projected
from relay.journal.projection import Projection
from relay.journal.projections.history import History, Passage, SettledAs
from relay.journal.reader import Reader, Readers
from relay.journal.recount import Shown, recounted
from relay.journal.rows import Progress, SavedCheckpoint
from relay.journal.store import Store
from relay.journal.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Projection)

TAIL_EVENTS = 6_000
TAIL_BYTES = 6 << 20
"""What is kept in memory of the newest events, so that sinks and readers which keep up never touch the disk."""


class Signals(Protocol):
    """What the journal reports, each once per group or occasion."""

    def group_committed(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None: ...

    def journal_pruned(self, events: int) -> None: ...

    def dead_letters_expired(self, count: int, cause: Literal["age", "size"]) -> None: ...

    def journal_broke(self, error: JournalBroken) -> None: ...

    def journal_ran_full(self, error: JournalUnavailable) -> None: ...

    def journal_has_room(self) -> None: ...


class Journal:
    """One open journal, in one event loop. ``sinks`` are the labels of the configured sinks.

    ``names`` are what it is published under, ``returned`` the sinks that it did not have at its last start.
    """

    def __init__(
        self,
        store: Store,
        sinks: Collection[str],
        policy: Policy,
        signals: Signals,
        names: Names | None = None,
        returned: Collection[str] = (),
    ) -> None:
        self.journal_id = store.journal_id
        self.last_offset = store.newest_offset()
        """Of the newest event; the next one's may be further on, but nobody waits for what is not there."""
        self.broken: asyncio.Future[JournalBroken] = asyncio.get_running_loop().create_future()
        self.concealed = Concealed()
        """Secrets that no event may hold, whoever made it. May be exchanged for others."""
        self._store = store
        self._policy = policy
        self._signals = signals
        self._names = names or Names()
        self._opened_at = store.last_offset
        self._first_offset = store.oldest_offset() or store.last_offset + 1
        saved = store.checkpoints()
        self._saved = {sink: saved.get(sink, SavedCheckpoint()) for sink in sinks}
        self._history = store.projection(History)
        self._census = Census(store.forks, store.addressed(0))
        self._attempted = dict.fromkeys(self._saved, 0)
        self._forking = asyncio.Lock()
        self._tail: list[Entry] = []
        self._tail_bytes = 0
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._size = store.size()
        self.full: JournalUnavailable | None = None
        """What a disk without room said, until a commit has shown otherwise."""
        self._writer = Writer(store, committed=self._committed, failed=self._failed, overdue=self._shorten_log)
        self._shortening: asyncio.Task[None] | None = None
        self._readers = Readers(store, broken=self._failed)
        before = self._first_offset - 1
        for sink in set(sinks) - saved.keys():
            # A new sink waits for what is retained, not for all there was.
            self._move(sink, Progress(before, 0, 0, passed=before, catch_up_to=store.last_offset))
        for sink in set(returned) & saved.keys():
            self._move(sink, Progress(self._saved[sink].offset, 0, 0, catch_up_to=store.last_offset))
        self._measure()
        self._care = Care(store, self._writer, policy, self)

    # -- appending ---------------------------------------------------------------------------------------------

    def append(self, draft: Draft) -> asyncio.Future[Receipt]:
        """Queues a draft; the future answers after the fsync, and raises ``JournalUnavailable`` when that takes long.

        Raises ``JournalUnavailable`` at once when over the cap, or while the disk hangs or cannot keep up.

        What a sink refused (``draft.dead`` of an event) is always taken: it makes the backlog smaller.
        """
        if self.broken.done():
            raise self.broken.result()
        if self.full is not None:
            raise self.full
        if draft.dead is None or draft.dead.event_offset is None:
            self._refuse_when_full()
        return self._writer.append(self.concealed.in_draft(draft))

    def _refuse_when_full(self) -> None:
        if self.backlog() >= self._policy.max_backlog:
            raise JournalUnavailable(
                "backlog_full",
                f"{self.backlog()} events wait for a sink, as many as journal.max_backlog allows.",
                hint="See which sink is down (relay_sink_up); deliveries are taken again as the backlog drains.",
            )
        if self._size > self._policy.max_size and self.backlog() and self._nothing_can_go():
            raise JournalUnavailable(
                "journal_full",
                "The journal has reached journal.max_size and every event in it still waits for a sink.",
                hint="See which sink is down (relay_sink_up), or raise journal.max_size.",
            )

    def _nothing_can_go(self) -> bool:
        """Whether the oldest event still waits for a sink, and for one that does not merely catch up on history."""
        return self._floor < self._first_offset and self._floor == self._kept_up

    def accepting(self) -> JournalUnavailable | JournalBroken | None:
        """Why nothing can be accepted now, ``None`` when it can."""
        if self.broken.done():
            return self.broken.result()
        try:
            self._refuse_when_full()
        except JournalUnavailable as error:
            return error
        return self.full or self._writer.refusal()

    # -- reading -----------------------------------------------------------------------------------------------

    async def read(self, after: int, limit: int, max_bytes: int = 4 << 20) -> list[Entry]:
        """The entries after an offset, oldest first; at least one if there is one. Does not wait."""
        if after >= self.last_offset:
            return []
        if self._tail and after >= self._tail[0].offset - 1:
            return _cut(self._tail, after - self._tail[0].offset + 1, limit, max_bytes)
        return await self._readers.call(Reader.read, after, limit, max_bytes)

    async def pick(self, offsets: Sequence[int], max_bytes: int = 4 << 20) -> list[Entry]:
        """Those of the entries that are held, in order, up to so many bytes of data; at least one if there is one."""
        return await self._readers.call(Reader.pick, offsets, max_bytes) if offsets else []

    async def offsets_about(self, subject: str, after: int, limit: int) -> list[int]:
        """Where contradictions, progress, dead letters and replays with this subject are, beyond an offset."""
        return await self._readers.call(Reader.offsets_about, subject, after, limit)

    def events_between(self, after: int, upto: int) -> int:
        """Events with offsets in ``(after, upto]``, held or pruned; offsets that a new identity skipped are none."""
        return self._census.events(after, upto)

    async def wait(self, after: int) -> None:
        """Returns when there is an event beyond ``after``."""
        while self.last_offset <= after:
            await asyncio.shield(self._news)

    # -- sinks -------------------------------------------------------------------------------------------------

    @property
    def sinks(self) -> tuple[str, ...]:
        """The labels of the configured sinks."""
        return tuple(self._saved)

    def position(self, sink: str) -> int:
        """The offset up to which everything is settled on a sink, as far as this process knows."""
        return self._saved[sink].offset

    def saved(self, sink: str) -> SavedCheckpoint:
        """The journal's own copy of a sink's checkpoint, with its counts."""
        return self._saved[sink]

    async def attempt(self, sink: str, offset: int) -> None:
        """Everything up to ``offset`` is about to be published; the answer may get lost, so the attempt counts.

        Waits while the journal takes a new identity, so that each attempt is made under the one it counts for.
        """
        async with self._forking:
            self._attempted[sink] = max(self._attempted[sink], offset)

    def attempted(self, sink: str) -> int:
        """The highest offset that was tried on a sink since the file was opened, under the present identity."""
        return self._attempted[sink]

    def advance(
        self,
        sink: str,
        offset: int,
        *,
        published: int,
        dead: int,
        absorbed: int = 0,
        exceptions: Sequence[tuple[int, SettledAs]] = (),
    ) -> None:
        """A sink has settled everything up to ``offset``. Saved with the next group; the sink holds the truth.

        ``exceptions`` are the offsets of the dead and the absorbed.

        What was passed over is counted by the offsets alone, so that an event which is in none of the counts shows
        in the balance.
        """
        known = self._saved[sink].offset
        passed = offset - known - self._census.events_for(sink, known, offset)
        self._move(sink, Progress(offset, published, dead, absorbed, passed))
        self._measure()
        self._history.passed(Passage(sink, offset, _now(), exceptions))

    def _move(self, sink: str, progress: Progress) -> None:
        self._saved[sink] = self._saved[sink].then(progress)
        self._writer.save(sink, progress)

    def _measure(self) -> None:
        places = self._saved.values()
        self._floor = min((place.offset for place in places), default=0)
        self._kept_up = min((max(place.offset, place.catch_up_to) for place in places), default=0)

    @property
    def lineage(self) -> Lineage:
        """What the journal knows of its own identity."""
        known = self._store.journal_id, tuple(self._store.forks)
        return Lineage(*known, self._opened_at, self._first_offset, self.last_offset, self._names)

    async def fork(self, sink: str, beyond: int) -> None:
        """The file is an older copy: a new identity from where it was opened, offsets past ``beyond`` from now on.

        ``sink`` showed it. What the others have from this process stays theirs.
        """
        async with self._forking:
            published = {other: offset for other, offset in self._attempted.items() if other != sink}
            await self._writer.call(self._store.fork, self._opened_at, beyond, published)
            self._attempted = dict.fromkeys(self._attempted, 0)
            self.journal_id = self._store.journal_id
            self._census.learn_gaps(self._store.forks)

    async def recount(self, sink: str, shown: Shown) -> int:
        """A sink is really behind what we knew (it lost events) or ahead (our copy was not saved).

        The counts follow: what it lost is unpublished again. Answers how many events are missing on it for good.
        """
        offset, saved = shown.offset, self._saved[sink]
        self._history.rewound(sink, offset)
        with suppress(JournalUnavailable):  # a full disk: publishing goes on, and the care tries again
            await self._care.write_what_waits()
        if offset > saved.offset:
            self._history.passed(Passage(sink, offset, None))
        low, high = sorted((offset, saved.offset))
        held = self._census.events_for(sink, max(low, self._first_offset - 1), high)
        gone = self._census.events_for(sink, offset - shown.missing, min(offset, saved.offset))
        progress, lost = recounted(saved, shown, held, gone)
        if saved.then(progress) != saved:
            self._move(sink, progress)
            self._measure()
        return lost if shown.empty else shown.missing

    def floor(self) -> int:
        """The offset up to which every configured sink has everything; without sinks, the last offset."""
        return self._floor if self._saved else self.last_offset

    def backlog(self) -> int:
        """Events that at least one sink has not got yet, of those that were accepted since it was there.

        A sink that is new, has returned or has lost what it had catches up on history meanwhile, which is no backlog.
        """
        if not self._saved or self._kept_up >= self.last_offset:
            return 0
        return self._census.events(self._kept_up, self.last_offset)

    def pending(self, sink: str) -> int:
        """Events that this sink has not got yet."""
        return self._census.events_for(sink, self._saved[sink].offset, self.last_offset)

    def accepted(self, sink: str) -> int:
        """Events that were accepted for this sink since the journal began, told by the offsets alone.

        Promise P5: it is the sum of what the sink has published, absorbed, refused, and has still to get.
        """
        return self._saved[sink].accepted + self.pending(sink)

    async def oldest_pending_at(self, sink: str) -> int | None:
        """When the oldest event that a sink has not got was accepted (epoch milliseconds)."""
        after = self._saved[sink].offset
        if after >= self.last_offset:
            return None
        if self._tail and after >= self._tail[0].offset - 1:
            return self._tail[after - self._tail[0].offset + 1].accepted_at
        return await self._readers.call(Reader.accepted_at, after)

    # -- what follows the events -------------------------------------------------------------------------------

    def projection(self, kind: type[C]) -> Projected[C]:
        """The projection of this class. Raises ``KeyError`` where the journal was opened without it."""
        return Projected(kind, self._store, self._writer, self._readers)

    async def known(self, keys: Sequence[bytes]) -> Known:
        """Which facts the journal knows: those of the dedup keys, each with its fingerprint and its event's offset."""
        return await self._readers.call(Reader.known, keys)

    async def known_beginning(self, prefix: bytes, after: int, limit: int) -> list[int]:
        """Where the facts are whose keys begin so, beyond an offset: see ``DedupIndex.beginning_with``."""
        return await self._readers.call(Reader.known_beginning, prefix, after, limit)

    # -- figures and care --------------------------------------------------------------------------------------

    def events_held(self) -> int:
        """Events in the journal, published or not."""
        return self._census.events(self._first_offset - 1, self.last_offset)

    def bytes_held(self) -> int:
        """Size of the file's pages in use, as of the last look."""
        return self._size

    def stalled_for(self) -> float:
        """Seconds that the commit under way has taken so far."""
        return self._writer.stalled_for()

    async def tend(self) -> None:
        """Looks after the file while the journal lives: see ``Care``."""
        await self._care.tend()

    def pruned(self, events: int, oldest: int | None) -> None:
        """So many events are gone; ``oldest`` is the offset of the first that is left."""
        self._first_offset = self.last_offset + 1 if oldest is None else oldest
        self._census.forget(self._first_offset - 1)
        self._signals.journal_pruned(events)

    def dead_letters_expired(self, count: int, cause: Literal["age", "size"]) -> None:
        """So many dead letters were forgotten, since they were too old or the journal was too large."""
        self._signals.dead_letters_expired(count, cause)

    def measured(self, size: int) -> None:
        """The file holds so many bytes of pages in use."""
        self._size = size

    def has_room(self) -> None:
        """A commit has shown that the disk is not full any more."""
        self.full = None
        self._signals.journal_has_room()

    def _shorten_log(self) -> None:
        """The log begins anew only when nobody reads from it, and some journals are never left alone."""
        if self._shortening is None or self._shortening.done():
            self._shortening = asyncio.get_running_loop().create_task(self._shorten())

    async def _shorten(self) -> None:
        async with self._readers.paused():
            with suppress(RelayError):  # the writer has said so
                await self._writer.call(self._store.checkpoint_wal)

    async def close(self) -> None:
        """Commits what is queued and closes the file."""
        if self._shortening is not None:
            await self._shortening
        await self._readers.close()
        if self.full is not None:
            with suppress(JournalUnavailable):
                await self._writer.call(self._store.make_room)
        await self._writer.close()

    def _committed(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None:
        self._signals.group_committed(entries, drafts, seconds)
        if not entries:
            return
        if self._tail and entries[0].offset != self._tail[-1].offset + 1:
            # A fork left a gap before these; reading finds its place by counting, so the tail has none.
            self._tail.clear()
            self._tail_bytes = 0
        self._census.add(entries)
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

    def _failed(self, error: RelayError) -> None:
        """What a commit or the care met: a disk that is full takes nothing until the care has made room."""
        if isinstance(error, JournalUnavailable):
            if error.code == DISK_FULL and self.full is None:
                self.full = error
                self._signals.journal_ran_full(error)
        elif isinstance(error, JournalBroken) and not self.broken.done():
            self.broken.set_result(error)
            self._signals.journal_broke(error)


async def open_journal(
    path: Path,
    sinks: Collection[str],
    policy: Policy,
    signals: Signals,
    *,
    names: Names | None = None,
    must_exist: bool = False,
) -> Journal:
    """Opens or creates the journal. Raises ``JournalInUse`` or ``JournalBroken`` with what to do.

    ``names`` are what it is published under from now on; ``must_exist``: it is not created.
    """
    store, returned = await asyncio.to_thread(open_under, names, path, must_exist=must_exist)
    return Journal(store, sinks, policy, signals, names, returned)


def _cut(tail: list[Entry], start: int, limit: int, max_bytes: int) -> list[Entry]:
    part = tail[start : start + limit]
    size = 0
    for count, entry in enumerate(part):
        size += len(entry.event.data)
        if size > max_bytes and count:
            return part[:count]
    return part


def _now() -> int:
    return time.time_ns() // 1_000_000
