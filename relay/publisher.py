"""One publisher per sink: reads the journal in order, publishes in batches, retries, buries what is refused for good.

All retrying, logging and counting around sinks is here, once. The sink's own checkpoint is the truth about what it
has; the journal's copy serves retention and the figures.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from relay.core.dead import refused_draft
from relay.core.errors import RelayError
from relay.core.event import DEAD_LETTERS, Entry
from relay.core.lineage import resume
from relay.core.retry import Backoff
from relay.core.settle import Advance, Bury, Narrow, settle
from relay.core.sink import Batch, Checkpoint, Refused, Sink, SinkUnavailable
from relay.journal.journal import Journal
from relay.telemetry import SinkSignals


class Publisher:
    """Publishes every entry of the journal to one sink, exactly once, for as long as ``run`` runs."""

    def __init__(
        self, label: str, sink: Sink, journal: Journal, signals: SinkSignals, backoff: Backoff | None = None
    ) -> None:
        self.label = label
        self._sink = sink
        self._journal = journal
        self._signals = signals
        self._backoff = backoff or Backoff()
        self._position = journal.position(label)
        self._buried: set[int] = set()
        self._failures = 0  # in a row: opening alone proves little, only a published batch ends the row
        self._batch_limit = sink.limits.events
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Publishes until ``stop``; raises ``SinkFenced`` when another process has taken over this identity."""
        try:
            while not self._stopping.is_set():
                try:
                    await self._open()
                    await self._publish_until_stopped()
                except SinkUnavailable as error:
                    self._failures += 1
                    await self._pause(error)
        finally:
            await self._sink.close()

    def stop(self) -> None:
        """Ends ``run`` after the batch under way."""
        self._stopping.set()

    async def _pause(self, error: SinkUnavailable) -> None:
        # The dice only spread retries over time; nobody gains by guessing them.
        delay = self._backoff.delay(self._failures, random.random(), error.retry_after)  # noqa: S311
        self._signals.sink_lost(error, delay)
        try:
            async with asyncio.timeout(delay):
                await self._stopping.wait()
        except TimeoutError:
            pass

    # -- where to go on ----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        held = await self._sink.open()
        self._position = await self._resume_after(held)
        self._buried.clear()
        self._signals.sink_opened(self._position, self._journal.pending(self.label))

    async def _resume_after(self, held: Checkpoint | None) -> int:
        journal, label, signals = self._journal, self.label, self._signals
        found = resume(held, journal.lineage, journal.attempted(label))
        if found.finding == "other_journal":
            signals.lineage_started(journal.journal_id)
        if found.finding == "older_copy" and held is not None:
            signals.sink_ahead(held.offset, journal.lineage.opened_at)
            await journal.fork(held.offset)
        if found.missing:
            signals.events_missing(found.missing)
        elif found.finding == "usual" and found.after < journal.position(label):
            signals.sink_rewound(journal.position(label), found.after)
        await journal.settle_at(label, found.after, dead=found.dead, absorbed=found.absorbed)
        return found.after

    # -- publishing --------------------------------------------------------------------------------------------

    async def _publish_until_stopped(self) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                if self._journal.last_offset <= self._position:
                    await self._wait_for_news(stopping)
                    continue
                page = await self._journal.read(self._position, self._batch_limit, self._sink.limits.bytes)
                if page:
                    await self._publish(page)
        finally:
            stopping.cancel()

    async def _wait_for_news(self, stopping: asyncio.Future[Any]) -> None:
        news = asyncio.ensure_future(self._journal.wait(self._position))
        try:
            await asyncio.wait((news, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()

    async def _publish(self, page: Sequence[Entry]) -> None:
        entries = [entry for entry in page if self._is_mine(entry)]
        checkpoint = self._checkpoint(page)
        self._journal.attempt(self.label, checkpoint.offset)
        outcomes = await self._sink.publish(Batch(entries, checkpoint))
        match settle(entries, outcomes):
            case Advance():
                self._advance(page, entries)
            case Bury(refused):
                await self._bury(refused)
            case Narrow(events):
                self._batch_limit = events

    def _checkpoint(self, page: Sequence[Entry]) -> Checkpoint:
        saved = self._journal.saved(self.label)
        return Checkpoint(self._journal.journal_id, page[-1].offset, saved.dead + self._dead_in(page), saved.absorbed)

    def _dead_in(self, page: Sequence[Entry]) -> int:
        return sum(1 for entry in page if entry.offset in self._buried) if self._buried else 0

    def _is_mine(self, entry: Entry) -> bool:
        return entry.sink in (None, self.label) and entry.offset not in self._buried

    def _advance(self, page: Sequence[Entry], entries: Sequence[Entry]) -> None:
        self._position = page[-1].offset
        self._failures = 0
        self._batch_limit = self._sink.limits.events
        dead = self._dead_in(page)
        self._buried.clear()
        self._journal.advance(self.label, self._position, published=len(entries), dead=dead)
        now = time.time_ns() // 1_000_000
        self._signals.batch_published(
            Counter([entry.event.topic for entry in entries]),
            [(now - entry.accepted_at) / 1000 for entry in entries],
        )

    async def _bury(self, refused: Sequence[tuple[Entry, Refused]]) -> None:
        """Keeps the refused events as dead letters first; only then may the checkpoint move past them.

        A crash in between makes the sink refuse them again, and the journal absorb the second dead letter.
        """
        for entry, reason in refused:
            self._buried.add(entry.offset)
            if entry.event.topic != DEAD_LETTERS:
                # A refused dead letter is still in the journal's table; a letter about it would be refused too.
                letter = refused_draft(entry, reason, origin=self.label, refused_at=time.time_ns() // 1_000_000)
                if (await self._journal.append(letter)).result == "duplicate":
                    continue
            self._signals.event_buried(reason.code, entry.event.id, reason.detail)


def as_fatal(error: BaseException) -> RelayError:
    """The reason to end the process that an exception from ``run`` stands for."""
    if isinstance(error, RelayError):
        return error
    return RelayError("internal", f"A publisher failed: {type(error).__name__}: {error}", hint="Please report this.")
