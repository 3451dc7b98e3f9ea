"""Work that waits in the journal until it is due, and is then begun: polls of tasks, copies of outputs.

All that waits is in a projection, so a restart goes on where the last process was.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import ClassVar, Final, Generic, TypeVar

from relay.core.tasks.rate_limit import RateLimit
from relay.journal.errors import JournalBroken, JournalUnavailable

J = TypeVar("J")

FRESH_FOR: Final = 1.0
"""Seconds for which a look holds: meanwhile something may have come that is due before all others."""


class DueWork(ABC, Generic[J]):
    """Begins what is due, at most ``rate`` times per second and ``concurrency`` at once; ``name`` is of its tasks.

    After failures (``rate_limit.failures``) one at a time finds out whether they are over.
    """

    name: ClassVar[str]

    def __init__(self, rate: float, concurrency: int, check_every: float) -> None:
        """``check_every``: seconds between two looks at most."""
        self.rate_limit = RateLimit(rate)
        self._concurrency, self._check_every = concurrency, check_every
        self._due: list[J] = []
        self._due_until = 0.0
        self._working: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self.paused = False
        """While set, nothing begins."""
        self._woken = asyncio.Event()

    @abstractmethod
    async def look(self, busy: Collection[str]) -> Sequence[J]:
        """What is due, first what is to begin first; what is ``busy``, by its mark, is left out by the caller."""

    @abstractmethod
    def mark_of(self, job: J) -> str:
        """The name that a piece of work shares with no other."""

    @abstractmethod
    async def work(self, job: J) -> None:
        """Does a piece of it. Raises nothing but bugs."""

    def may_begin(self) -> bool:
        """Whether anything may begin now."""
        return not self.paused

    async def until_due(self) -> float:
        """Seconds until the next look, where nothing is due."""
        return self._check_every

    @property
    def working(self) -> bool:
        """Whether anything is under way."""
        return bool(self._working)

    async def run(self) -> None:
        """Works until ``stop``. What is under way then is cut short: the next start begins it again."""
        try:
            while not self._stopping:
                self._woken.clear()
                try:
                    await self._step()
                except (JournalUnavailable, JournalBroken):
                    await self._rest(self._check_every)  # a broken journal ends the process, by its own way
        finally:
            await self.end()

    def stop(self) -> None:
        """Ends ``run``. Nothing further begins."""
        self._stopping = True
        self._woken.set()

    def wake(self) -> None:
        """Something has come that is due at once."""
        self._due_until = 0.0
        self._woken.set()

    async def end(self) -> None:
        """Cuts short what is under way."""
        for working in (cut := list(self._working.values())):
            working.cancel()
        if cut:
            await asyncio.wait(cut)

    async def _step(self) -> None:
        """One piece begun, or a rest until one may be."""
        now = asyncio.get_running_loop().time()
        wait = self.rate_limit.ready_at() - now
        room = len(self._working) < (1 if self.rate_limit.failures else self._concurrency)
        if wait > 0 or not room or not self.may_begin():
            await self._rest(wait if room and wait > 0 else self._check_every)
            return
        job = await self._next(now)
        if job is None or self._stopping or self.paused:
            await self._rest(await self.until_due())
            return
        self.rate_limit.take(now)
        mark = self.mark_of(job)
        self._working[mark] = working = asyncio.create_task(self.work(job), name=self.name)
        working.add_done_callback(lambda _: self._worked(mark))

    async def _rest(self, seconds: float) -> None:
        """Returns after so long, or as soon as there is news."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _next(self, now: float) -> J | None:
        if not self._due or now >= self._due_until:
            busy = set(self._working)  # asked first: what ends during the look may not be noted yet
            found = await self.look(busy)
            self._due = [job for job in found if self.mark_of(job) not in busy][::-1]
            self._due_until = now + FRESH_FOR
        return self._due.pop() if self._due else None

    def _worked(self, mark: str) -> None:
        del self._working[mark]
        self._woken.set()
