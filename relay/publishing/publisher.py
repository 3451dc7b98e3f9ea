"""One publisher per sink: reads the journal in order, publishes batches, retries, and keeps what is refused for good.

All retrying, logging and counting around sinks is here, once. The sink's own checkpoint is the truth about what it
has; the journal's copy serves retention and the figures.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

from relay.clocks import wall_ms
from relay.core.dead import refused_draft
from relay.core.errors import RelayError
from relay.core.event import DEAD_LETTERS, Entry
from relay.core.publishing.batching import Batching
from relay.core.publishing.claims import Shared, facts_of
from relay.core.publishing.lineage import earlier, resume
from relay.core.publishing.settle import Advance, SplitBatch, ToDeadLetters, settle
from relay.core.retry import Backoff
from relay.core.sink import (
    Batch,
    Checkpoint,
    MayLoseWrites,
    Outcome,
    Reconfigurable,
    Refused,
    Renamable,
    Sink,
    SinkConfig,
    SinkUnavailable,
)
from relay.journal.errors import JournalUnavailable
from relay.journal.event_log import EventLog
from relay.journal.journal import Journal
from relay.journal.projections.history import SettledAs
from relay.journal.rows import Shown
from relay.publishing.claims import Claims
from relay.telemetry.signals.sinks import SinkSignals

_SHORTEST_WAIT = 0.01
_CHECK_EVERY = 10.0
"""Seconds without an event after which a sink that may lose what it has is asked whether it did."""
_LONGEST_WAIT = 0.25
"""Seconds between two looks at a claim that another replica holds: it lasts as long as a transaction, as a rule."""


class Publisher:
    """Publishes every entry of the journal to one sink, exactly once, for as long as ``run`` runs."""

    def __init__(
        self,
        label: str,
        sink: Sink,
        journal: Journal,
        signals: SinkSignals,
        backoff: Backoff | None = None,
        claims: Claims | None = None,
    ) -> None:
        self.label = label
        self._sink = sink
        self._journal, self._events, self._progress = journal, journal.events, journal.progress
        self._signals = signals
        self._backoff = backoff or Backoff()
        self._position = journal.progress.position(label)
        self._held: Checkpoint | None = None  # by the sink
        self._claims = claims
        self._dead: set[int] = set()
        self._absorbed: set[int] = set()  # of the page under way
        self._waits = 0  # in a row, for a claim of another replica
        self._failures = 0  # in a row: opening alone proves little, only a published batch ends the row
        self._batching = Batching.of(sink.limits)
        self._pages = _Pages(journal.events)
        self._stopping = asyncio.Event()

    def has(self, offset: int) -> bool:
        """Whether the sink itself has shown that it has all events up to this one."""
        return offset == 0 or (self._held is not None and self._position >= offset)

    def reconfigure(self, config: SinkConfig) -> None:
        """Has the sink go on with other credentials, if it can."""
        if isinstance(self._sink, Reconfigurable):
            self._sink.reconfigure(config)

    async def run(self) -> None:
        """Publishes until ``stop``; raises ``SinkFenced`` when another process has taken over this identity."""
        try:
            while not self._stopping.is_set():
                try:
                    await self._open()
                    await self._publish_until_stopped()
                except (SinkUnavailable, JournalUnavailable) as error:
                    # The journal's disk may be full just when a dead letter is to be kept: that passes, too.
                    self._failures += 1
                    await self._pause(error)
        finally:
            await self._sink.close()
            if self._claims is not None:
                await self._claims.close()

    def stop(self) -> None:
        """Ends ``run`` after the batch under way."""
        self._stopping.set()

    async def _pause(self, error: SinkUnavailable | JournalUnavailable) -> None:
        # The dice only spread retries over time; nobody gains by guessing them.
        retry_after = error.retry_after if isinstance(error, SinkUnavailable) else None
        delay = self._backoff.delay(self._failures, random.random(), retry_after)  # noqa: S311
        self._signals.sink_lost(error, delay)
        await self._rest(delay)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _open(self) -> None:
        self._held = await self._carried_over(await self._sink.open())
        known = self._progress.position(self.label)
        self._position = await self._resume_after(self._held)
        self._dead.clear()
        self._absorbed.clear()
        await self._confirm_between(known, self._position)
        if self._claims is not None and self._failures > 1:
            await self._give_way(self._claims)
        self._signals.sink_opened(self._position, self._progress.pending(self.label))

    async def _resume_after(self, held: Checkpoint | None) -> int:
        progress, label, signals = self._progress, self.label, self._signals
        found = resume(held, progress.lineage, label, progress.attempted(label))
        if found.finding == "other_journal":
            signals.lineage_started(progress.journal_id)
        if found.finding == "older_copy" and held is not None:
            signals.sink_ahead(held.offset, progress.lineage.opened_at)
            await progress.fork(label, held.offset)
        if found.finding == "usual" and found.after < progress.position(label):
            signals.sink_rewound(progress.position(label), found.after)
        shown = Shown(found.after, found.dead, found.absorbed, found.missing, found.empty)
        missing = await progress.recount(label, shown)
        if missing:
            signals.events_missing(missing)
        return found.after

    async def _carried_over(self, held: Checkpoint | None) -> Checkpoint | None:
        """The sink's checkpoint; where it knows this journal under a former name only, that is made the present one."""
        lineage, saved = self._progress.lineage, self._progress.saved(self.label)
        for name, inheritance in lineage.inheritances(held, self.label):
            if not isinstance(self._sink, Renamable):
                raise RelayError(
                    "name_changed",
                    f"{self.label} keeps its checkpoint under {name.identity}, and cannot move it.",
                    hint=f"Set identity: {name.identity} and the sink's name: {name.label} again.",
                )
            counted = replace(inheritance, dead=saved.dead, absorbed=saved.absorbed)
            taken = await self._sink.take_over(name, counted)
            if taken is not None:
                self._signals.place_carried_over(name.identity, name.label, taken.offset)
                return taken
        return held

    async def _confirm_between(self, after: int, upto: int) -> None:
        """What a predecessor, or a batch in doubt, did publish: its claims were not confirmed, perhaps."""
        while self._claims is not None and after < upto:
            page = await self._events.read(after, self._sink.limits.events, self._sink.limits.bytes)
            if not page:
                return
            facts = [fact for fact in facts_of(page) if fact.offset <= upto]
            await self._claims.confirm(facts, again=True)
            after = page[-1].offset

    async def _give_way(self, claims: Claims) -> None:
        """Publishing fails again and again, perhaps here only: another replica gets a chance.

        The sink said what it has when it was opened, so what lies beyond is certainly not there.
        """
        page = await self._events.read(self._position, self._sink.limits.events, self._sink.limits.bytes)
        await claims.release(facts_of(page))
        await self._rest(2 * _LONGEST_WAIT)

    async def _publish_until_stopped(self) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                if self._events.last_offset <= self._position:
                    await self._wait_for_news(stopping)
                    continue
                page = await self._pages.read(self._position, self._batching.events, self._batching.bytes)
                if page:
                    await self._publish(page)
        finally:
            stopping.cancel()
            self._pages.drop()

    async def _wait_for_news(self, stopping: asyncio.Future[Any]) -> None:
        news = asyncio.ensure_future(self._events.wait(self._position))
        try:
            done, _ = await asyncio.wait((news, stopping), timeout=_CHECK_EVERY, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        if not done and isinstance(self._sink, MayLoseWrites):
            await self._sink.check()

    async def _publish(self, page: Sequence[Entry]) -> None:
        entries: Sequence[Entry] = [entry for entry in page if self._is_mine(entry)]
        if self._claims is not None:
            page, entries = await self._claimed(self._claims, page, entries)
            if not page:
                return
        await self._progress.attempt(self.label, page[-1].offset)
        batch = Batch(entries, self._checkpoint(page), self._batching.seconds)
        with self._signals.batch_begun(entries):
            outcomes, seconds = await self._send(page, batch)
        match settle(entries, outcomes):
            case Advance(absorbed):
                self._held = batch.checkpoint
                self._absorbed |= absorbed
                if not self._batching.is_usual:
                    self._batching = self._batching.published(len(page), _size(page), seconds)
                await self._advance(page, [entry for entry in entries if entry.offset not in absorbed])
            case ToDeadLetters(refused):
                await self._to_dead_letters(refused)
            case SplitBatch(events):
                self._batching = self._batching.split_to(events)

    async def _send(self, page: Sequence[Entry], batch: Batch) -> tuple[Sequence[Outcome], float]:
        """The sink's answer, and how many seconds it took."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            outcomes = await self._sink.publish(batch)
        except SinkUnavailable:
            self._batching = self._batching.in_doubt(len(page), _size(page))
            raise
        return outcomes, clock() - began

    async def _claimed(
        self, claims: Claims, page: Sequence[Entry], entries: Sequence[Entry]
    ) -> tuple[Sequence[Entry], Sequence[Entry]]:
        """The page up to where another replica's turn begins, and what of it is ours to publish."""
        if isinstance(self._sink, Shared):
            await self._sink.ready()
        share = await claims.share(entries)
        self._absorbed |= share.absorbed
        if share.held_at is None:
            return page, share.entries
        page = [entry for entry in page if entry.offset < share.held_at]
        if page:
            self._waits = 0
        else:
            await self._rest(min(_LONGEST_WAIT, _SHORTEST_WAIT * 2**self._waits))
            self._waits = min(self._waits + 1, 16)
        return page, share.entries

    def _checkpoint(self, page: Sequence[Entry]) -> Checkpoint:
        saved = self._progress.saved(self.label)
        dead, absorbed = _count(page, self._dead), _count(page, self._absorbed)
        journal_id = self._progress.journal_id
        counts = saved.dead + dead, saved.absorbed + absorbed
        return Checkpoint(journal_id, page[-1].offset, *counts, earlier(self._held, journal_id))

    def _is_mine(self, entry: Entry) -> bool:
        offset = entry.offset
        return entry.sink in (None, self.label) and offset not in self._dead and offset not in self._absorbed

    async def _advance(self, page: Sequence[Entry], entries: Sequence[Entry]) -> None:
        self._position = page[-1].offset
        self._failures = 0
        dead, absorbed = _count(page, self._dead), _count(page, self._absorbed)
        self._progress.advance(
            self.label,
            self._position,
            published=len(entries),
            dead=dead,
            absorbed=absorbed,
            exceptions=self._exceptions(page),
        )
        now = wall_ms()
        self._signals.batch_published(
            Counter([entry.event.topic for entry in entries]),
            [max(0, now - entry.accepted_at) / 1000 for entry in entries],  # the clock may have been set,
        )
        if self._claims is not None:
            settled = [entry for entry in page if entry.offset not in self._absorbed]
            await self._claims.confirm_batch(settled, absorbed)
        self._dead.clear()
        self._absorbed.clear()

    def _exceptions(self, page: Sequence[Entry]) -> Sequence[tuple[int, SettledAs]]:
        """What of the page is settled without being published."""
        if not self._dead and not self._absorbed:
            return ()
        dead: list[tuple[int, SettledAs]] = [(e.offset, "dead") for e in page if e.offset in self._dead]
        return [*dead, *((e.offset, "absorbed") for e in page if e.offset in self._absorbed)]

    async def _to_dead_letters(self, refused: Sequence[tuple[Entry, Refused]]) -> None:
        """Keeps the refused events as dead letters first; only then may the checkpoint move past them.

        A crash in between makes the sink refuse them again, and the journal absorb the second dead letter.
        """
        for entry, reason in refused:
            self._dead.add(entry.offset)
            if entry.event.topic != DEAD_LETTERS:
                # A refused dead letter is still in the journal's table; a letter about it would be refused too.
                letter = refused_draft(entry, reason, origin=self.label, refused_at=wall_ms())
                if (await self._journal.append(letter)).result == "duplicate":
                    continue
            self._signals.event_buried(reason.code, entry.event.id, reason.detail)


class _Pages:
    """Pages of the journal, each read while the one before it is published."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._wanted = (0, 0, 0)
        self._ahead: asyncio.Future[list[Entry]] | None = None

    async def read(self, after: int, events: int, size: int) -> list[Entry]:
        """The entries after an offset, at most so many and so many bytes, and begins to read the next ones.

        Not of less than a whole page: more will have come by the time that it is needed.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and self._wanted == (after, events, size):
            page = await ahead
        else:
            _drop(ahead)
            page = await self._events.read(after, events, size)
        if page and self._events.last_offset - page[-1].offset >= events:
            self._wanted = (page[-1].offset, events, size)
            self._ahead = asyncio.ensure_future(self._events.read(*self._wanted))
        return page

    def drop(self) -> None:
        """What was read ahead will not be needed."""
        _drop(self._ahead)
        self._ahead = None


def _drop(ahead: asyncio.Future[list[Entry]] | None) -> None:
    if ahead is not None and not ahead.cancel() and not ahead.cancelled():
        ahead.exception()  # or asyncio would report it


def _count(page: Sequence[Entry], offsets: Set[int]) -> int:
    return sum(1 for entry in page if entry.offset in offsets) if offsets else 0


def _size(page: Sequence[Entry]) -> int:
    return sum(len(entry.event.data) for entry in page)


def as_fatal(error: BaseException) -> RelayError:
    """The reason to end the process that an exception from ``run`` stands for."""
    if isinstance(error, RelayError):
        return error
    return RelayError("internal", f"A publisher failed: {type(error).__name__}: {error}", hint="Please report this.")
