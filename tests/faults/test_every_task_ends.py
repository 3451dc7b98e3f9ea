"""P7: every task that was submitted ends once, whatever becomes of its webhooks, the upstream and the relay."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.simulator.options import Options, Retries
from relay.simulator.outages import Trouble
from relay.simulator.server import Simulator
from relay.simulator.tasks.ledger import Ledger
from tests.faults.conftest import Shared
from tests.faults.harness.launch import wrong_clock
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.oracle import Seen
from tests.faults.harness.targets import Target
from tests.faults.harness.task_load import Application, plans
from tests.faults.harness.task_oracle import judge_tasks, orders, too_fast
from tests.services.relay import RelayProcess

FIRST_AFTER = "2s"
KILLS = 5


def late_by(effort: Effort) -> str:
    """How late some webhooks come: after the poll by which their task has ended."""
    return f"{effort(short=6, full=10, long=10)}s"


def settings(simulator: Simulator, max_rate: float) -> dict[str, Any]:
    return {
        "upstream": {"base_url": simulator.url, "connect_timeout": "2s"},
        "reconcile": {"first_after": FIRST_AFTER, "every": "1s", "max_rate": max_rate, "concurrency": 16},
    }


@asynccontextmanager
async def upstream(seed: int, retry_after: int | None = None) -> AsyncIterator[Simulator]:
    """Webhooks are repeated quickly, and for two minutes: until a relay that is killed five times is back for good.

    A contradiction that is given up before cannot show. Nothing else is made easier.
    """
    retries = Retries(timeout=5.0, repeats=30, spacing=(0.5, 1.0, 2.0, 4.0))
    pace = Options(seed=seed, queue_seconds=0.2, run_seconds=0.6, retries=retries, retry_after=retry_after)
    async with Simulator(pace) as simulator:
        yield simulator


@asynccontextmanager
async def relaying(
    directory: Path, targets: list[Target], *, program: Sequence[str] = (), **sections: Any
) -> AsyncIterator[RelayProcess]:
    """A relay that is started here, and does not outlive its test. ``program``: see ``tests.faults.harness.launch``."""
    relay = RelayProcess(directory, sinks=[target.sink for target in targets], public=True, **sections)
    await relay.start(*program)
    try:
        yield relay
    finally:
        relay.kill()


async def kill_again_and_again(relay: RelayProcess, row: Row, seconds: float) -> None:
    """Five times in so many seconds, at random moments."""
    dice = random.Random(row.seed)
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.5, 1.5) * seconds / KILLS)
        await asyncio.to_thread(relay.kill)
        row.injected("kill -9")
        await relay.start()


async def until_every_task_has_ended(relay: RelayProcess, within: float) -> None:
    async with asyncio.timeout(within):
        while await relay.metric("relay_tasks_pending"):
            await asyncio.sleep(0.25)


async def journal_order(relay: RelayProcess) -> dict[str, list[str]]:
    """The events of each task, from the relay's own API."""
    seen: list[Seen] = []
    after = 0
    async with aiohttp.ClientSession() as session:
        while True:
            query = {"topic": "tasks", "after": str(after), "limit": "1000"}
            async with session.get(f"{relay.url}/v1/events", params=query) as response:
                page = await response.json()
            seen += [Seen(entry["event"]["id"], entry["event"]["subject"], b"") for entry in page["events"]]
            if page["next"] == after:
                return orders(seen)
            after = page["next"]


def webhooks_about(ledger: Ledger, tasks: list[str]) -> str:
    """What became of each attempt to deliver a webhook about one of these tasks."""
    return "\n".join(str(attempt) for task in tasks for attempt in ledger.attempts(task))


async def judged(
    relay: RelayProcess, simulator: Simulator, application: Application, targets: list[Target], row: Row, rate: float
) -> None:
    """Demands that every promise was kept, on each sink."""
    submitted = application.submitted
    ledger = simulator.ledger
    upstreams = frozenset(task.task_id for task in ledger.tasks()) | frozenset(ledger.answered)
    others = upstreams - submitted.answered.keys()
    order = await journal_order(relay)
    for target in targets:
        seen = await target.read()
        verdict = judge_tasks(submitted.answered, others, seen)
        print(f"{target.label}: {len(seen)} events of {len(submitted.answered)} tasks, {verdict}")
        row.counted(
            acknowledged=len(submitted.answered),
            lost=len(verdict.unended) + len(verdict.unsubmitted),
            repeated=len(verdict.repeated) + len(verdict.ended_twice),
        )
        assert verdict.holds, f"{verdict}\n{webhooks_about(ledger, verdict.contradicted_wrong[:3])}"
        assert orders(seen) == order, "a task's events come in another order than they were accepted in"
    bought = [task.asked.prompt for task in ledger.tasks()]
    assert len(bought) == len(set(bought)), "something was paid for twice"
    assert len(submitted.unknown) >= len(others), "the upstream has tasks that nobody can know of"
    assert too_fast(ledger.polls, rate, slack=2 * (KILLS + 1)) == []
    polls = sum(number for _, number in ledger.polls)
    print(f"answers: {dict(submitted.outcomes)}; {len(submitted.unknown)} unknown, {ledger.paid} paid, {polls} polls")
    row.notes.append(f"{ledger.paid} paid for, {polls} polls, answers {dict(submitted.outcomes)}")


async def concluded(
    relay: RelayProcess,
    simulator: Simulator,
    application: Application,
    targets: list[Target],
    row: Row,
    rate: float,
) -> None:
    """Waits for every task's end, then judges."""
    async with asyncio.timeout(150):
        await simulator.wait_idle()
    await until_every_task_has_ended(relay, 60 + len(application.plans) / rate)
    await relay.until_drained()
    await judged(relay, simulator, application, targets, row, rate)
    assert await relay.stop() == 0


@pytest.mark.row("T1", "every task ends")
async def test_every_task_ends_once_whatever_happens(shared: Shared, tmp_path: Path, row: Row, effort: Effort) -> None:
    """Broken: P7. Webhooks are lost, doubled, late, contradicted, the relay is killed: a task ends never, or twice."""
    count, rate, max_rate = effort(short=400, full=5000), 120.0, 60.0
    targets = [shared("kafka"), shared("redis")]
    row.load = f"{count} tasks, {rate:g}/s"
    async with (
        upstream(row.seed) as simulator,
        relaying(tmp_path / "relay", targets, **settings(simulator, max_rate)) as relay,
    ):
        application = Application(lambda: relay.url, plans(count, row.seed, late_by(effort)), rate)
        async with asyncio.TaskGroup() as group:
            group.create_task(application.run())
            group.create_task(kill_again_and_again(relay, row, count / rate))
        await concluded(relay, simulator, application, targets, row, max_rate)


@pytest.mark.matrix  # for `make test` tests/integration/test_task_polling.py does this with fewer tasks
@pytest.mark.row("T2", "every task ends, the upstream in trouble")
@pytest.mark.parametrize("retry_after", [None, 2], ids=["no-header", "retry-after"])
async def test_every_task_ends_although_the_upstream_is_down_and_overloaded(
    retry_after: int | None, shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P7. An outage ends tasks that still run, or the relay storms an upstream that has just come back."""
    outage, storm = 60, 20
    troubles: list[tuple[Trouble, int]] = [("down", outage), ("storm", storm), ("html", 3), ("errors", 3)]
    rate, max_rate = 25.0, 30.0
    count = round(rate * (sum(seconds for _, seconds in troubles) + 2 * len(troubles)))
    targets = [shared("redis")]
    row.load = f"{count} tasks, {rate:g}/s"
    async with (
        upstream(row.seed, retry_after) as simulator,
        relaying(tmp_path / "relay", targets, **settings(simulator, max_rate)) as relay,
    ):
        application = Application(lambda: relay.url, plans(count, row.seed, late_by(effort)), rate)
        async with asyncio.TaskGroup() as group:
            group.create_task(application.run())
            for trouble, seconds in troubles:
                await asyncio.sleep(2.0)
                simulator.begin_outage(trouble, seconds)
                row.injected(f"{trouble} for {seconds} s")
                await asyncio.sleep(seconds)
        await concluded(relay, simulator, application, targets, row, max_rate)
        outcomes = application.submitted.outcomes
        assert all(outcomes[each] for each in ("upstream_unreachable", "429", "a page", "500")), "a trouble met nobody"


@pytest.mark.row("T3", "clocks that jump")
async def test_every_task_ends_in_its_time_whatever_the_clock_shows(
    shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P7. A clock that is set makes tasks overdue that have just begun, or puts their polls hours away."""
    jumps = (7200, 0, -7200, 0, 86_400, 0) * effort(short=1, full=3)
    rate, max_rate, jumps_every = 25.0, 30.0, effort(short=2, full=3, long=3)
    count = round(rate * (len(jumps) + 1) * jumps_every)
    targets = [shared("redis")]
    row.load = f"{count} tasks, {rate:g}/s"
    clock = tmp_path / "clock"
    clock.write_text("0")
    async with (
        upstream(row.seed) as simulator,
        relaying(tmp_path / "relay", targets, program=wrong_clock(clock), **settings(simulator, max_rate)) as relay,
    ):
        application = Application(lambda: relay.url, plans(count, row.seed, late_by(effort)), rate)
        async with asyncio.TaskGroup() as group:
            group.create_task(application.run())
            for offset in jumps:
                await asyncio.sleep(jumps_every)
                before = int(clock.read_text())
                replaced = clock.with_suffix(".new")
                replaced.write_text(str(offset))
                replaced.rename(clock)
                row.injected(f"a jump of {(offset - before) / 3600:+g} h")
        await concluded(relay, simulator, application, targets, row, max_rate)
