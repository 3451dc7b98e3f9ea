"""How far each sink has got: the journal's own copy of the checkpoints, with their counts.

A sink's own checkpoint is the truth. The copy serves retention, the backlog and the figures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress

from relay.clocks import wall_ms
from relay.core.publishing.lineage import Lineage, Names
from relay.journal.errors import JournalUnavailable
from relay.journal.event_log import EventLog
from relay.journal.projections.history import History, Passage, SettledAs
from relay.journal.rows import Progress, SavedCheckpoint, Shown, recounted
from relay.journal.store import Store
from relay.journal.writer import Writer


class SinkProgress:
    """Of one open journal, in one event loop. ``sinks`` are the labels of the configured sinks.

    ``names`` are what it is published under, ``returned`` the sinks that it did not have at its last start.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        events: EventLog,
        sinks: Collection[str],
        names: Names,
        returned: Collection[str],
    ) -> None:
        self.journal_id = store.journal_id
        self._store, self._writer, self._events, self._names = store, writer, events, names
        self._history = store.projection(History)
        self._opened_at = store.last_offset
        saved = store.checkpoints()
        self._saved = {sink: saved.get(sink, SavedCheckpoint()) for sink in sinks}
        self._attempted = dict.fromkeys(self._saved, 0)
        self._forking = asyncio.Lock()
        before = events.first_offset - 1
        for sink in set(sinks) - saved.keys():
            # A new sink waits for what is retained, not for all there was.
            self._move(sink, Progress(before, 0, 0, passed=before, catch_up_to=store.last_offset))
        for sink in set(returned) & saved.keys():
            self._move(sink, Progress(self._saved[sink].offset, 0, 0, catch_up_to=store.last_offset))
        self._measure()

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
        passed = offset - known - self._events.counter.events_for(sink, known, offset)
        self._move(sink, Progress(offset, published, dead, absorbed, passed))
        self._measure()
        self._history.passed(Passage(sink, offset, wall_ms(), exceptions))

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
        return Lineage(*known, self._opened_at, self._events.first_offset, self._events.last_offset, self._names)

    async def fork(self, sink: str, beyond: int) -> None:
        """The file is an older copy: a new identity from where it was opened, offsets past ``beyond`` from now on.

        ``sink`` showed it. What the others have from this process stays theirs.
        """
        async with self._forking:
            published = {other: offset for other, offset in self._attempted.items() if other != sink}
            await self._writer.call(self._store.fork, self._opened_at, beyond, published)
            self._attempted = dict.fromkeys(self._attempted, 0)
            self.journal_id = self._store.journal_id
            self._events.counter.learn_gaps(self._store.forks)

    async def recount(self, sink: str, shown: Shown) -> int:
        """A sink is really behind what we knew (it lost events) or ahead (our copy was not saved).

        The counts follow: what it lost is unpublished again. Answers how many events are missing on it for good.
        """
        offset, saved = shown.offset, self._saved[sink]
        self._history.rewound(sink, offset)
        with suppress(JournalUnavailable):  # a full disk: publishing goes on, and maintenance tries again
            await self._writer.call(self._store.write_what_waits, wall_ms())
        if offset > saved.offset:
            self._history.passed(Passage(sink, offset, None))
        low, high = sorted((offset, saved.offset))
        held = self._events.counter.events_for(sink, max(low, self._events.first_offset - 1), high)
        gone = self._events.counter.events_for(sink, offset - shown.missing, min(offset, saved.offset))
        progress, lost = recounted(saved, shown, held, gone)
        if saved.then(progress) != saved:
            self._move(sink, progress)
            self._measure()
        return lost if shown.empty else shown.missing

    def floor(self) -> int:
        """The offset up to which every configured sink has everything; without sinks, the last offset."""
        return self._floor if self._saved else self._events.last_offset

    def backlog(self) -> int:
        """Events that at least one sink has not got yet, of those that were accepted since it was there.

        A sink that is new, has returned or has lost what it had catches up on history meanwhile, which is no backlog.
        """
        if not self._saved or self._kept_up >= self._events.last_offset:
            return 0
        return self._events.counter.events(self._kept_up, self._events.last_offset)

    def pending(self, sink: str) -> int:
        """Events that this sink has not got yet."""
        return self._events.counter.events_for(sink, self._saved[sink].offset, self._events.last_offset)

    def accepted(self, sink: str) -> int:
        """Events that were accepted for this sink since the journal began, counted by offsets alone.

        Promise P5: it is the sum of what the sink has published, absorbed, refused, and has still to get.
        """
        return self._saved[sink].accepted + self.pending(sink)

    async def oldest_pending_at(self, sink: str) -> int | None:
        """When the oldest event that a sink has not got was accepted (epoch milliseconds)."""
        return await self._events.first_accepted_at(self._saved[sink].offset)

    def is_stuck(self) -> bool:
        """Whether the oldest event still waits for a sink, and for one that does not merely catch up on history."""
        return self._floor < self._events.first_offset and self._floor == self._kept_up
