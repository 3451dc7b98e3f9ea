"""The loop of the reconciler, in virtual time. What answers mean: tests/unit/core/tasks/test_reconcile.py."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from relay.core.tasks.reconcile import PollAnswer, Timing
from relay.journal import journal as journal_module
from relay.journal.journal import Policy
from relay.journal.projections.task_addresses import Addresses
from relay.journal.projections.tasks import Tasks
from relay.reconciler.reconciler import forget_ended
from tests.unit.reconciler.reconciling import UNKNOWN, World, error, play, result, running, succeeded, world
from tests.unit.virtual_time import virtually

# -- who reports the end of a task -------------------------------------------------------------------------------------


def test_a_task_whose_webhook_is_lost_ends_all_the_same(tmp_path: Path) -> None:
    """Somebody's job would hang forever."""

    async def story(w: World) -> None:
        await w.submit("t1")
        await w.until_ended(120)
        assert await w.types("t1") == ["submitted", "succeeded"]
        [at] = w.upstream.times()
        assert 60 <= at <= 73
        row = await w.row("t1")
        assert (row.state, row.due_at) == ("succeeded", None)
        assert w.metric("relay_polls_total", result="succeeded") == 1

    play(tmp_path, story)


def test_a_webhook_that_comes_saves_the_poll_and_one_after_it_is_a_duplicate(tmp_path: Path) -> None:
    """Each task would be polled for nothing, or end twice."""

    async def story(w: World) -> None:
        await w.submit("t1", "t2")
        assert await w.webhook("t1") == "accepted"
        await w.until_ended(120)
        assert w.upstream.counts["t1"] == 0
        assert await w.webhook("t2") == "duplicate"
        assert await w.types("t2") == ["submitted", "succeeded"]

    play(tmp_path, story)


def test_a_webhook_during_the_poll_ends_the_task_once(tmp_path: Path) -> None:
    """The two ways would both publish, or the answer bring back what has ended."""

    async def story(w: World) -> None:
        w.upstream.latency = 2.0
        await w.watch("t1")
        await asyncio.sleep(1.5)
        assert w.upstream.counts["t1"] == 1
        assert await w.webhook("t1") == "accepted"
        await asyncio.sleep(300)
        assert await w.types("t1") == ["succeeded"]
        assert w.upstream.counts["t1"] == 1
        assert (await w.row("t1")).state == "succeeded"

    play(tmp_path, story)


def test_a_task_that_had_ended_before_it_was_submitted_is_never_polled(tmp_path: Path) -> None:
    """The upstream's webhook is often faster than its answer: such a task would be polled, or abandoned in the end."""

    async def story(w: World) -> None:
        await w.webhook("t1")
        await w.submit("t1")
        await w.until_ended(120)
        assert w.upstream.polls == []
        row = await w.row("t1")
        assert (row.state, row.offsets) == ("succeeded", (1, 2))

    play(tmp_path, story)


def test_an_end_that_contradicts_the_webhook_is_published_as_such(tmp_path: Path) -> None:
    """Two answers of the upstream to one question would go unnoticed, or stand as two endings."""

    async def story(w: World) -> None:
        w.upstream.latency = 2.0
        await w.watch("t1")
        await asyncio.sleep(1.5)
        await w.webhook("t1", image="other")
        await asyncio.sleep(300)
        assert await w.types("t1") == ["succeeded", "conflicted"]
        assert (await w.row("t1")).offsets == (1, 2)

    play(tmp_path, story)


# -- tasks that do not end -----------------------------------------------------------------------------------------


def test_a_task_under_way_is_polled_ever_more_rarely_until_it_ends(tmp_path: Path) -> None:
    """A long task would take the rate from the others, or be forgotten after its first poll."""

    async def story(w: World) -> None:
        w.upstream.answer = lambda task, n: running(task) if n < 6 else succeeded(task)
        await w.watch("t1")
        await w.until_ended(600)
        times = w.upstream.times()
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert len(times) == 6
        assert all(27 * 1.5**n <= gap <= 33 * 1.5**n + 1.1 for n, gap in enumerate(gaps))
        assert (await w.row("t1")).polls >= 5

    play(tmp_path, story)


def test_a_task_that_never_ends_is_abandoned_and_a_late_webhook_contradicts(tmp_path: Path) -> None:
    """It would be polled forever; and an end that comes after all would be lost."""

    async def story(w: World) -> None:
        w.upstream.answer = running
        await w.submit("t1")
        await w.until_ended(8000)
        assert await w.types("t1") == ["submitted", "abandoned"]
        assert 7200 <= w.upstream.times()[-1] <= 7202
        row = await w.row("t1")
        assert (row.state, row.reason) == ("abandoned", "deadline")
        assert w.metric("relay_polls_total", result="abandoned") == 1
        assert await w.webhook("t1") == "accepted"
        assert await w.types("t1") == ["submitted", "abandoned", "conflicted"]
        assert len(w.upstream.polls) < 20

    play(tmp_path, story, timing=Timing(give_up_after=7200))


def test_an_unknown_task_becomes_known_or_is_abandoned(tmp_path: Path) -> None:
    """A task that is polled too early would be given up, one that never was would be polled for a day."""

    async def story(w: World) -> None:
        w.upstream.answer = lambda task, n: succeeded(task) if task == "late" and n > 4 else UNKNOWN
        await w.watch("late", "never")
        await w.until_ended(3600)
        assert await w.types("late") == ["succeeded"]
        assert await w.types("never") == ["abandoned"]
        assert (await w.row("never")).reason == "unknown_task"
        assert 600 <= w.upstream.times("never")[-1] <= 1000

    play(tmp_path, story)


# -- the loop itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.5, 10, 100])
def test_the_rate_is_kept_and_used(tmp_path: Path, rate: float) -> None:
    """The upstream's limit would be passed; or the relay would take hours for what takes minutes."""

    async def story(w: World) -> None:
        count = max(20, round(rate * 5))
        await w.watch(*(f"t{n}" for n in range(count)))
        await w.until_ended(count / rate * 1.2 + 5)
        assert len(w.upstream.polls) == count
        assert w.upstream.most_within(2.0) <= 2 * rate + 2

    play(tmp_path, story, rate=rate, concurrency=50)


def test_no_more_polls_are_under_way_than_allowed(tmp_path: Path) -> None:
    """An upstream that answers slowly would collect the relay's connections."""

    async def story(w: World) -> None:
        w.upstream.latency = 5.0
        await w.watch(*(f"t{n}" for n in range(30)))
        await w.until_ended(120)
        assert w.upstream.most_at_once == 3
        assert len(w.upstream.polls) == 30

    play(tmp_path, story, concurrency=3, rate=100.0)


def test_what_ends_while_it_waits_for_its_turn_is_not_polled(tmp_path: Path) -> None:
    """After an outage of webhooks each late one would still cost the poll that it makes needless."""

    async def story(w: World) -> None:
        w.upstream.latency = 30.0
        w.upstream.answer = lambda *_: error(429, "RATE_LIMIT_EXCEEDED", 5.0)
        tasks = [f"t{n}" for n in range(5)]
        await w.watch(*tasks)
        async with asyncio.timeout(100):
            while len(w.upstream.polls) < 2:  # after the pause all of them are due, and wait for the second poll
                await asyncio.sleep(1)
        w.upstream.answer = succeeded
        for task_id in tasks:
            await w.webhook(task_id)
        await asyncio.sleep(300)
        assert len(w.upstream.polls) == 2

    play(tmp_path, story, concurrency=1)


def test_each_task_is_polled_once_when_it_is_due(tmp_path: Path) -> None:
    """A slow answer would have its task polled again meanwhile."""

    async def story(w: World) -> None:
        w.upstream.latency = 20.0
        w.upstream.answer = running
        await w.watch(*(f"t{n}" for n in range(30)))
        await asyncio.sleep(25)
        assert Counter(task for _, task in w.upstream.polls).most_common(1)[0][1] == 1
        assert len(w.upstream.polls) == 30

    play(tmp_path, story, concurrency=40, rate=50.0)


def test_a_restart_goes_on_where_the_last_process_was(tmp_path: Path) -> None:
    """Each restart would poll everything at once, or forget what was under way."""

    async def main() -> None:
        async with world(tmp_path) as first:
            first.upstream.answer = running
            await first.watch(*(f"t{n}" for n in range(30)))
            await asyncio.sleep(10)
            assert len(first.upstream.polls) == 30
        stopped = asyncio.get_running_loop().time()
        async with world(tmp_path) as second:
            await second.until_ended(120)
            assert len(second.upstream.polls) == 30
            first_due = {task: at for at, task in first.upstream.polls}
            for at, task in second.upstream.polls:
                assert at >= max(stopped, first_due[task] + 27)

    virtually(main())


def test_a_restart_remembers_what_the_last_polls_said(tmp_path: Path) -> None:
    """What a pause has shown would be lost with the process: a task would be polled too soon."""

    async def main() -> None:
        async with world(tmp_path, concurrency=1) as w:
            w.upstream.answer = lambda task, n: error(429, "RATE_LIMIT_EXCEEDED", 600.0)
            await w.watch("t1")
            await asyncio.sleep(5)
        async with world(tmp_path) as w:
            await asyncio.sleep(500)
            assert w.upstream.polls == []
            await w.until_ended(200)

    virtually(main())


def test_a_bug_in_one_poll_stops_no_other(tmp_path: Path) -> None:
    """One answer that nobody thought of would end the polling of all tasks until the next restart."""

    async def story(w: World) -> None:
        def answer(task: str, n: int) -> PollAnswer:
            if task == "t1" and n < 3:
                raise ValueError("nobody thought of this")
            return succeeded(task)

        w.upstream.answer = answer
        await w.watch("t1", "t2")
        await w.until_ended(300)
        assert w.upstream.counts["t1"] == 3
        assert all(later - earlier >= 27 for earlier, later in pairwise(w.upstream.times("t1")))

    play(tmp_path, story)


def test_nothing_is_polled_while_the_journal_takes_nothing(tmp_path: Path) -> None:
    """Answers that cannot be kept would be fetched at full rate for as long as a sink is down."""

    async def story(w: World) -> None:
        await w.webhook("x1")
        await w.webhook("x2")
        await w.watch("t1")
        await asyncio.sleep(60)
        assert w.upstream.polls == []
        w.journal.progress.advance("kafka", 2, published=2, dead=0)
        await w.until_ended(60)

    play(tmp_path, story, Policy(max_backlog=2), "kafka")


def test_an_answer_that_the_journal_cannot_take_is_asked_for_again(tmp_path: Path) -> None:
    """The end of a task would be lost because the disk was full when it arrived."""

    async def story(w: World) -> None:
        w.upstream.latency = 2.0
        await w.watch("t1")
        await asyncio.sleep(1.5)
        await w.webhook("x1")
        await asyncio.sleep(30)
        assert await w.pending() == 1
        w.journal.progress.advance("kafka", 1, published=1, dead=0)
        await w.until_ended(60)
        assert await w.types("t1") == ["succeeded"]

    play(tmp_path, story, Policy(max_backlog=1), "kafka")


def test_it_ends_at_once_when_it_is_stopped(tmp_path: Path) -> None:
    """A restart would wait for an upstream that does not answer."""

    async def main() -> None:
        async with world(tmp_path) as w:
            w.upstream.latency = 1000.0
            await w.watch("t1")
            await asyncio.sleep(3)
            assert w.upstream.at_once == 1
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 0.1
        assert w.upstream.at_once == 0

    virtually(main())


def test_a_task_that_was_just_entered_is_polled_when_asked_for(tmp_path: Path) -> None:
    """A client that asks about a task would wait for the next look."""

    async def story(w: World) -> None:
        await asyncio.sleep(10.3)
        await w.watch("t1")
        assert w.reconciler is not None
        w.reconciler.wake()
        await asyncio.sleep(0.01)
        assert w.upstream.counts["t1"] == 1

    play(tmp_path, story)


def test_nothing_is_polled_when_nothing_is_due(tmp_path: Path) -> None:
    """An idle relay would spend the account's rate."""

    async def story(w: World) -> None:
        await w.submit(*(f"t{n}" for n in range(50)))
        await asyncio.sleep(59)
        assert w.upstream.polls == []

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("publish", "expected"), [(True, ["progressed", "progressed", "succeeded"]), (False, ["succeeded"])]
)
def test_progress_is_published_where_it_is_wanted(tmp_path: Path, publish: bool, expected: list[str]) -> None:
    """tasks.progressed would have no effect on what polls see, or be on for everybody."""
    steps = [5, 5, 40]

    async def story(w: World) -> None:
        w.upstream.answer = lambda task, n: (
            PollAnswer(200, result(task, "TASK_STATUS_PROCESSING", progress_percent=steps[n - 1]))
            if n <= len(steps)
            else succeeded(task)
        )
        await w.watch("t1")
        await w.until_ended(600)
        assert await w.types("t1") == expected

    play(tmp_path, story, publish_progress=publish)


def test_what_runs_is_shown_as_running(tmp_path: Path) -> None:
    """`relay tasks` would show a task in the queue that is being worked on."""

    async def story(w: World) -> None:
        w.upstream.answer = lambda task, n: PollAnswer(200, result(task, "TASK_STATUS_PROCESSING", task_type="UPSCALE"))
        await w.watch("t1")
        await asyncio.sleep(5)
        row = await w.row("t1")
        assert (row.state, row.task_type, row.polls) == ("running", "UPSCALE", 1)

    play(tmp_path, story)


def test_an_ending_that_the_journal_has_forgotten_takes_the_task_along(tmp_path: Path) -> None:
    """A task that ended longer ago than the journal remembers would be polled until its deadline."""

    async def main() -> None:
        async with world(tmp_path, Policy(retention=0)) as w:
            await w.webhook("t1")
            await w.journal.maintenance._merge()
            await asyncio.sleep(0.01)
            await w.submit("t1")
            time.sleep(0.002)  # noqa: ASYNC251 - the wall clock decides what is old
            w.journal.events.first_offset = 0
            w.journal.events._tail.clear()
            await w.journal.projection(Tasks).execute(
                lambda table: table._db.execute('DELETE FROM events WHERE "offset" = 1')
            )
            await w.until_ended(200)
            assert w.upstream.polls == []
            assert await w.journal.projection(Tasks).query(Tasks.find, "t1") is None

    virtually(main())


def test_ended_tasks_are_forgotten_after_the_retention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry would grow forever."""
    monkeypatch.setattr(journal_module, "FORGOTTEN_AT_ONCE", 3)

    async def story(w: World) -> None:
        w.upstream.latency = 1000.0
        await w.submit(*(f"t{n}" for n in range(8)), "pending")
        for n in range(8):
            await w.webhook(f"t{n}")
        tables = w.journal.projection(Tasks), w.journal.projection(Addresses)
        kept = asyncio.create_task(forget_ended(*tables, 3600.0, 3600.0))
        gone = asyncio.create_task(forget_ended(*tables, -1.0, 3600.0))
        async with asyncio.timeout(600):  # of virtual time: how long the journal's thread takes is its own affair
            while (counts := await w.journal.projection(Tasks).query(Tasks.counts))["succeeded"]:
                await asyncio.sleep(1)
        assert counts["submitted"] == 1
        for task in (kept, gone):
            task.cancel()
        await asyncio.wait((kept, gone))

    play(tmp_path, story)
