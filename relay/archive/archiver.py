"""Archives the outputs of tasks before their links end, each exactly once.

All state is in the journal, so a restart goes on where the last process was: the end of an output is its event, in the
commit that takes it from those that wait. Killed between the store and that commit, the next process finds the object
and ends the output then. What failures mean is decided in ``relay.core.archive.job``; here it is obeyed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
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
from relay.core.archive.job import Failure, Job, Lost, after_failure
from relay.core.archive.key import key_of_output
from relay.core.retry import Backoff
from relay.core.tasks.rate_limit import RateLimit
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.projections.outputs import Outputs
from relay.telemetry.signals.outputs import OutputSignals

CHECK_EVERY: Final = 0.5
"""Seconds between two looks for what waits at most."""
_BATCH: Final = 100
_FRESH_FOR: Final = 1.0  # seconds: what has come meanwhile may have a nearer deadline
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


class Archiver:
    """``key`` is the checked template of ``archive.key``. ``now`` is of the clock that nobody sets."""

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
        self._journal, self._source, self._store, self._links = journal, source, store, links
        self._signals, self._key, self._pace = signals, key, pace
        self._now, self._wall = now, wall
        self._outputs = journal.projection(Outputs)
        self._rate = RateLimit(pace.rate)
        self._bandwidth = Bandwidth(pace.bandwidth)
        self._due: list[Job] = []
        self._due_until = 0.0
        self._working: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self._woken = asyncio.Event()

    @property
    def working(self) -> bool:
        """Whether an output is on its way."""
        return bool(self._working)

    async def run(self) -> None:
        """Archives until ``stop``. What is on its way then is cut: the next start begins it again."""
        try:
            while not self._stopping:
                self._woken.clear()
                try:
                    await self._step()
                except (JournalUnavailable, JournalBroken):
                    await self._rest(CHECK_EVERY)  # a broken journal ends the process, by its own way
        finally:
            await self._end()

    def stop(self) -> None:
        """Ends ``run``. Nothing further begins."""
        self._stopping = True
        self._woken.set()

    def wake(self) -> None:
        """Something is to be tried at once."""
        self._due_until = 0.0
        self._woken.set()

    async def _step(self) -> None:
        """One output begun, or a rest until one may be."""
        now = asyncio.get_running_loop().time()
        wait = self._rate.ready_at() - now
        # While the store is down one output at a time finds out whether it is back.
        room = len(self._working) < (1 if self._rate.failures else self._pace.concurrency)
        if wait > 0 or not room:
            await self._rest(wait if room else CHECK_EVERY)
            return
        job = await self._next(now)
        if job is None or self._stopping:
            await self._rest(CHECK_EVERY)
            return
        self._rate.take(now)
        working = asyncio.create_task(self._archive(job), name="output")
        self._working[job.mark] = working
        working.add_done_callback(lambda _: self._worked(job))

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _next(self, now: float) -> Job | None:
        if not self._due or now >= self._due_until:
            busy = set(self._working)  # asked first: what ends during the look is not in the table as ended yet
            found = await self._outputs.query(Outputs.due, self._now(), _BATCH + len(busy))
            self._due = [job for job in found if job.mark not in busy][::-1]
            self._due_until = now + _FRESH_FOR
        return self._due.pop() if self._due else None

    async def _archive(self, job: Job) -> None:
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
            self._rate.succeeded()
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
        pause = _PAUSE.delay(self._rate.failures + 1, random.random())  # noqa: S311
        if self._rate.pause(asyncio.get_running_loop().time(), pause):
            self._signals.store_failed(error.code, error.message, error.hint, pause)
        now = self._wall()
        if isinstance(
            after_failure(job, Failure(error.code, retriable=True), self._pace.give_up_after, now, 0.5), Lost
        ):
            await self._lose(job, error.code)

    async def _lose(self, job: Job, reason: str) -> None:
        if job.retried:  # it has been reported
            await self._outputs.execute(Outputs.lost_again, job, self._wall(), reason)
        else:
            await self._journal.append(lost_draft(job, reason, now=self._wall()))
        self._signals.lost(job.task_id, job.index, reason)

    def _worked(self, job: Job) -> None:
        del self._working[job.mark]
        self._woken.set()

    async def _end(self) -> None:
        for working in (cut := list(self._working.values())):
            working.cancel()
        if cut:
            await asyncio.wait(cut)


def _copy(key: str, stored: Stored) -> Copy:
    return Copy(key, stored.url, stored.size, stored.sha256, stored.content_type)
