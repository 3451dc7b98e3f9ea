"""The reconciler between a real journal and a scripted upstream, in virtual time."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from relay.core.event import Draft, Entry
from relay.core.source import Delivery
from relay.core.tasks.events import bare_task, submitted_draft
from relay.core.tasks.reconcile import PollAnswer, Timing, Unanswered
from relay.journal.journal import Journal, Policy
from relay.journal.projections.tasks import Row, Tasks
from relay.journal.store import Store
from relay.reconciler.reconciler import Reconciler
from relay.sources.novita_task import NovitaTask
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.tasks import TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.virtual_time import VirtualLoop, until, virtually

TIMING = Timing()
SOURCE = NovitaTask(progressed=True)

Answering = Callable[[str, int], PollAnswer | Unanswered]
"""What a task's n-th poll is answered with, counted from 1."""


def now() -> int:
    """Epoch milliseconds of the virtual clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.wall_ms()


def result(task_id: str, status: str = "TASK_STATUS_SUCCEED", image: str = "a", **task: Any) -> bytes:
    body = {"task": {"task_id": task_id, "status": status, **task}, "images": [{"image_url": f"https://x/{image}"}]}
    return orjson.dumps(body)


def succeeded(task_id: str, _: int = 1) -> PollAnswer:
    return PollAnswer(200, result(task_id))


def running(task_id: str, _: int = 1) -> PollAnswer:
    return PollAnswer(200, result(task_id, "TASK_STATUS_PROCESSING"))


def error(status: int, reason: str, retry_after: float | None = None) -> PollAnswer:
    return PollAnswer(status, orjson.dumps({"code": status, "reason": reason, "message": "m"}), retry_after)


UNKNOWN = error(404, "TASK_NOT_FOUND")


@dataclass
class Upstream:
    """Answers polls as scripted, and remembers when each began. ``latency`` in seconds."""

    answer: Answering = succeeded
    latency: float = 0.05
    polls: list[tuple[float, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self, task_id: str) -> PollAnswer | Unanswered:
        self.polls.append((asyncio.get_running_loop().time(), task_id))
        self.counts[task_id] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.latency)
            return self.answer(task_id, self.counts[task_id])
        finally:
            self.at_once -= 1

    def times(self, task_id: str | None = None) -> list[float]:
        return [at for at, polled in self.polls if task_id in (None, polled)]

    def most_within(self, seconds: float) -> int:
        """The most polls that began within so many seconds."""
        times = self.times()
        return max(bisect_left(times, first + seconds) - n for n, first in enumerate(times))


@dataclass
class World:
    """A journal, an upstream, and the reconciler between them."""

    journal: Journal
    upstream: Upstream
    telemetry: Telemetry
    options: dict[str, Any]
    reconciler: Reconciler | None = None

    @property
    def tasks(self) -> Tasks:
        return self.journal.projection(Tasks).table

    def start(self) -> asyncio.Task[None]:
        self.reconciler = Reconciler(
            self.journal,
            SOURCE,
            self.upstream,
            TaskSignals(self.telemetry, UpstreamSignals(self.telemetry)),
            self.options.pop("timing", TIMING),
            now=now,
            wall=now,
            **self.options,
        )
        return asyncio.create_task(self.reconciler.run())

    async def submit(self, *task_ids: str) -> None:
        for task_id in task_ids:
            await self.journal.append(submitted_draft(bare_task(task_id, "submitted", via="submit", received_at=now())))

    async def watch(self, *task_ids: str) -> None:
        for task_id in task_ids:
            await self.journal.projection(Tasks).execute(Tasks.watch, task_id, now())

    async def webhook(self, task_id: str, image: str = "a") -> str:
        draft = SOURCE.normalize(Delivery(result(task_id, image=image), now()))
        assert isinstance(draft, Draft)
        return (await self.journal.append(draft)).result

    async def row(self, task_id: str) -> Row:
        row = await self.journal.projection(Tasks).query(Tasks.find, task_id)
        assert row is not None
        return row

    async def events(self, task_id: str | None = None) -> list[Entry]:
        entries = await self.journal.events.read(0, 100_000, 1 << 30)
        return [entry for entry in entries if task_id in (None, entry.event.subject)]

    async def types(self, task_id: str) -> list[str]:
        return [entry.event.type.removeprefix("relay.task.") for entry in await self.events(task_id)]

    async def pending(self) -> int:
        counts = await self.journal.projection(Tasks).query(Tasks.counts)
        return counts["submitted"] + counts["running"]

    async def until_ended(self, within: float) -> None:
        async def ended() -> bool:
            return await self.pending() == 0

        await until(ended, within)

    def metric(self, name: str, **labels: str) -> float:
        return self.telemetry.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def world(path: Path, policy: Policy | None = None, *sinks: str, **options: Any) -> AsyncIterator[World]:
    telemetry = Telemetry()
    journal = Journal(Store(path / "relay.db"), sinks, policy or Policy(), JournalSignals(telemetry))
    made = World(journal, Upstream(), telemetry, options)
    run = made.start()
    try:
        yield made
    finally:
        assert made.reconciler is not None
        made.reconciler.stop()
        await run
        await journal.close()


Story = Callable[[World], Awaitable[None]]


def play(path: Path, story: Story, policy: Policy | None = None, *sinks: str, **options: Any) -> None:
    """Runs a story in virtual time."""

    async def main() -> None:
        async with world(path, policy, *sinks, **options) as w:
            await story(w)

    virtually(main())
