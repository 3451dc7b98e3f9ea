"""Archives the outputs of tasks before their links end, each exactly once.

All state is in the journal, so a restart goes on where the last process was: the end of an output is its event, in the
commit that takes it from those that wait. Killed between the store and that commit, the next process finds the object
and ends the output then. What failures mean is decided in ``relay.core.archive.job``; here it is obeyed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from relay.archive.bandwidth import Bandwidth
from relay.archive.errors import FetchError, StoreError
from relay.archive.fetch import Download
from relay.archive.links import Links
from relay.archive.store import Store, Stored
from relay.clocks import steady_ms, wall_ms
from relay.core.archive.events import Copy, archived_draft, lost_draft
from relay.core.archive.job import Failure, Job, Lost, after_failure, is_over
from relay.core.archive.key import key_of_output
from relay.core.retry import Backoff
from relay.journal.due_work import DueWork
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.projections.outputs import Outputs
from relay.telemetry.signals.outputs import OutputSignals

CHECK_EVERY: Final = 0.5
"""Seconds between two looks for what waits at most."""
_BATCH: Final = 100
_PAUSE: Final = Backoff(first=1.0, most=30.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """``rate``: outputs per second; ``bandwidth``: bytes per second, ``None``: no limit; ``give_up_after``: seconds."""

    concurrency: int = 4
    rate: float = 50.0
    bandwidth: int | None = None
    give_up_after: float = 86_400.0


class Source(Protocol):
    """Where outputs come from. Raises ``FetchError``, also while chunks are read."""

    def open(self, url: str, kind: str) -> AbstractAsyncContextManager[Download]: ...


class Archiver(DueWork[Job]):
    """``key`` is the checked template of ``archive.key``. ``now`` is of the clock that nobody sets."""

    name = "output"

    def __init__(
        self,
        journal: Journal,
        source: Source,
        store: Store,
        links: Links,
        signals: OutputSignals,
        *,
        key: str,
        pace: Pace,
        now: Callable[[], int] = steady_ms,
        wall: Callable[[], int] = wall_ms,
    ) -> None:
        super().__init__(pace.rate, pace.concurrency, CHECK_EVERY)
        self._journal, self._source, self._store, self._links = journal, source, store, links
        self._signals, self._key, self._pace = signals, key, pace
        self._now, self._wall = now, wall
        self._outputs = journal.projection(Outputs)
        self._bandwidth = Bandwidth(pace.bandwidth)

    async def look(self, busy: Collection[str]) -> Sequence[Job]:
        return await self._outputs.query(Outputs.due, self._now(), _BATCH + len(busy))

    def mark_of(self, job: Job) -> str:
        return job.mark

    async def work(self, job: Job) -> None:
        """Tries one output and does what follows. A bug here costs this output a try, and no other its own."""
        try:
            await self._try(job)
        except (JournalUnavailable, JournalBroken):
            pass  # it waits as before
        except Exception as error:
            self._signals.bug(error)
            with suppress(JournalUnavailable, JournalBroken):
                await self._failed(job, Failure("internal", retriable=True), "")

    async def _try(self, job: Job) -> None:
        try:
            copy = await self._copied(job)
        except FetchError as error:
            await self._failed(job, Failure(error.code, error.retriable, error.fresh_link), error.message)
        except StoreError as error:
            await self._store_failed(job, error)
        else:
            self.rate_limit.succeeded()
            self._signals.store_answered()
            await self._journal.append(archived_draft(job, copy, now=self._wall()))
            self._signals.archived(copy.size, (self._wall() - job.begun_at) / 1000)

    async def _copied(self, job: Job) -> Copy:
        """The output in the store. Raises ``FetchError`` or ``StoreError``."""
        key = key_of_output(self._key, job)
        found = await self._store.find(key, job.mark)
        if found is not None:  # put there before a kill
            return _copy(key, found)
        if self._wall() >= job.deadline:
            job = await self._relinked(job) or job
        try:
            return await self._fetched(job, key)
        except FetchError as error:
            fresh = await self._relinked(job) if error.fresh_link else None
            if fresh is None:
                raise
        return await self._fetched(fresh, key)

    async def _fetched(self, job: Job, key: str) -> Copy:
        if job.link is None:
            raise FetchError("no_link", "The upstream gave no link that can be read.")
        async with self._source.open(job.link, job.kind) as download:
            chunks = self._bandwidth.paced(download.chunks)
            stored = await self._store.put(key, chunks, download.content_type, job.mark)
        return _copy(key, stored)

    async def _relinked(self, job: Job) -> Job | None:
        """The output with a fresh link, if there is one."""
        link = await self._links.fresh(job, self._wall())
        if link is None:
            return None
        job = replace(job, link=link.url, deadline=link.deadline)
        await self._outputs.execute(Outputs.relink, job)
        return job

    async def _failed(self, job: Job, failure: Failure, message: str) -> None:
        # The dice only spread tries over time.
        now, chance = self._wall(), random.random()  # noqa: S311
        decision = after_failure(job, failure, self._pace.give_up_after, now, chance)
        if isinstance(decision, Lost):
            await self._lose(job, decision.reason)
            return
        self._signals.attempt_failed(job.task_id, job.index, failure.code, message, decision.after / 1000)
        await self._outputs.execute(Outputs.again, job, self._now() + decision.after, failure.code)

    async def _store_failed(self, job: Job, error: StoreError) -> None:
        """Not this output's fault: it waits, with all others, until the store is back."""
        if not error.retriable:
            await self._failed(job, Failure(error.code), error.message)
            return
        pause = _PAUSE.delay(self.rate_limit.failures + 1, random.random())  # noqa: S311
        if self.rate_limit.pause(asyncio.get_running_loop().time(), pause):
            self._signals.store_failed(error.code, error.message, error.hint, pause)
        if is_over(job, self._pace.give_up_after, self._wall()):
            await self._lose(job, error.code)

    async def _lose(self, job: Job, reason: str) -> None:
        if job.retried:  # it has been reported
            await self._outputs.execute(Outputs.lost_again, job, self._wall(), reason)
        else:
            await self._journal.append(lost_draft(job, reason, now=self._wall()))
        self._signals.lost(job.task_id, job.index, reason)


def _copy(key: str, stored: Stored) -> Copy:
    return Copy(key, stored.url, stored.size, stored.sha256, stored.content_type)
