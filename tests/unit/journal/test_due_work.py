"""The loop itself. What it is for is tried in tests/unit/reconciler and tests/unit/archive."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from relay.journal.due_work import DueWork
from relay.journal.errors import JournalUnavailable
from tests.unit.virtual_time import virtually


class Chores(DueWork[str]):
    """Each takes a second, and is never noted as done."""

    name = "chore"

    def __init__(self, chores: Sequence[str], *, concurrency: int = 2) -> None:
        super().__init__(10.0, concurrency, 5.0)
        self.chores, self.looks = list(chores), 0
        self.begun: list[tuple[str, float]] = []
        self.cut: list[str] = []

    async def look(self, busy: Collection[str]) -> Sequence[str]:
        self.looks += 1
        if self.looks == 1:
            raise JournalUnavailable("journal_busy", "It is busy.", hint="")
        return self.chores

    def mark_of(self, job: str) -> str:
        return job

    async def work(self, job: str) -> None:
        self.begun.append((job, round(asyncio.get_running_loop().time(), 1)))
        try:
            await asyncio.sleep(1.0)
            self.chores.remove(job)
        except asyncio.CancelledError:
            self.cut.append(job)
            raise


async def worked(chores: Chores, seconds: float) -> list[tuple[str, float]]:
    """What began when, from the first look that the journal answered."""
    running = asyncio.create_task(chores.run())
    await asyncio.sleep(seconds)
    chores.stop()
    await running
    first = chores.begun[0][1] if chores.begun else 0.0
    return [(job, round(at - first, 1)) for job, at in chores.begun]


def test_what_is_due_begins_at_its_rate_and_no_more_at_once() -> None:
    """The upstream would be flooded after an outage, or one slow answer would hold up all others."""
    begun = virtually(worked(Chores("abcd", concurrency=3), 20))
    assert begun == [("a", 0.0), ("b", 0.0), ("c", 0.1), ("d", 1.0)]  # one is made up for after a rest


def test_after_failures_one_at_a_time_finds_out() -> None:
    """Every look at a store that is down would be made by as many as are allowed at once."""
    chores = Chores("ab")
    chores.rate_limit.failures = 1
    assert virtually(worked(chores, 20)) == [("a", 0.0), ("b", 1.0)]


def test_nothing_begins_while_it_is_paused() -> None:
    """A drain would never end: new work would begin again and again."""
    chores = Chores("ab")
    chores.paused = True
    assert virtually(worked(chores, 20)) == []


def test_news_is_looked_for_at_once() -> None:
    """What is due at once would wait for the next look."""

    async def woken() -> float:
        chores = Chores("")
        running = asyncio.create_task(chores.run())
        await asyncio.sleep(7.0)
        chores.chores.append("news")
        chores.wake()
        at = asyncio.get_running_loop().time()
        await asyncio.sleep(1.5)
        chores.stop()
        await running
        return chores.begun[0][1] - at

    assert virtually(woken()) < 0.1


def test_an_end_cuts_what_is_under_way() -> None:
    """A relay could not end before its slowest download has."""
    chores = Chores("ab")
    virtually(worked(chores, 5.5))
    assert sorted(chores.cut) == ["a", "b"]
    assert not chores.working
