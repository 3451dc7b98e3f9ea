"""An upstream in trouble, in virtual time: outages, storms and lost keys of hours in a moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from relay.core.tasks.reconcile import PollAnswer, Timing, Unanswered
from tests.unit.reconciler.reconciling import World, error, play, result, succeeded
from tests.unit.virtual_time import until

# -- an upstream in trouble ----------------------------------------------------------------------------------------


def test_what_an_outage_held_up_does_not_burst(tmp_path: Path) -> None:
    """An upstream that has just come back would be knocked over by everything that waited for it."""

    async def story(w: World) -> None:
        def answer(task: str, _: int) -> PollAnswer | Unanswered:
            now = asyncio.get_running_loop().time()
            return Unanswered("unreachable") if 5 <= now < 65 else succeeded(task)

        w.upstream.answer = answer
        await w.watch(*(f"t{n}" for n in range(200)))
        await w.until_ended(300)
        assert w.upstream.most_within(1.0) <= 12
        assert w.upstream.most_within(10.0) <= 102
        during = [at for at in w.upstream.times() if 6 <= at < 65]
        assert len(during) <= 20
        assert Counter([entry.event.type for entry in await w.events()]) == {"relay.task.succeeded": 200}
        assert w.upstream.times()[-1] < 65 + 60 + 20

    play(tmp_path, story)


def test_one_poll_at_a_time_finds_out_whether_an_outage_is_over(tmp_path: Path) -> None:
    """An upstream that does not answer would hold as many connections as are allowed, for as long as it is away."""

    async def story(w: World) -> None:
        w.upstream.answer = lambda task, n: Unanswered("timeout")
        w.upstream.latency = 30.0
        await w.watch(*(f"t{n}" for n in range(50)))
        await asyncio.sleep(35)
        w.upstream.most_at_once = 0
        await asyncio.sleep(600)
        assert w.upstream.most_at_once == 1

    play(tmp_path, story)


def test_an_outage_shows_and_its_end_shows(tmp_path: Path) -> None:
    """Nobody would see that the upstream is gone."""

    async def story(w: World) -> None:
        down = True
        w.upstream.answer = lambda task, n: PollAnswer(503, b"<html>") if down else succeeded(task)
        await w.watch("t1")
        await asyncio.sleep(120)
        assert w.metric("relay_upstream_up") == 0
        assert w.metric("relay_polls_total", result="unavailable") >= 2
        down = False
        await w.until_ended(120)
        assert w.metric("relay_upstream_up") == 1

    play(tmp_path, story)


def test_a_storm_of_429_is_sat_out(tmp_path: Path) -> None:
    """The account would be banned for asking on at full speed."""

    async def story(w: World) -> None:
        storm = True
        w.upstream.answer = lambda task, n: error(429, "RATE_LIMIT_EXCEEDED") if storm else succeeded(task)
        await w.watch(*(f"t{n}" for n in range(100)))
        await asyncio.sleep(300)
        assert len(w.upstream.polls) <= 8 + 14
        storm = False
        await w.until_ended(120)
        assert w.upstream.most_within(1.0) <= 12

    play(tmp_path, story)


def test_nothing_is_polled_before_the_time_that_the_upstream_names(tmp_path: Path) -> None:
    """Retry-After would be read and not heeded, by other tasks than the one it was said to."""

    async def story(w: World) -> None:
        w.upstream.answer = lambda task, n: (
            error(429, "RATE_LIMIT_EXCEEDED", 90.0) if len(w.upstream.polls) == 1 else succeeded(task)
        )
        await w.watch(*(f"t{n}" for n in range(5)))
        await w.until_ended(300)
        times = w.upstream.times()
        assert times[1] - times[0] >= 90
        assert len(times) == 6

    play(tmp_path, story, concurrency=1)


def test_a_key_that_is_refused_ends_no_task_however_long(tmp_path: Path) -> None:
    """An operator who fixes the key on Monday would find a weekend's tasks abandoned."""

    async def story(w: World) -> None:
        locked = True
        w.upstream.answer = lambda task, n: error(403, "INVALID_API_KEY") if locked else succeeded(task)
        await w.submit("t1", "t2")
        await asyncio.sleep(10_000)
        assert await w.pending() == 2
        assert w.metric("relay_upstream_up") == 0
        assert 10 < w.metric("relay_polls_total", result="unauthorized") < 10_000 / 70
        locked = False
        await w.until_ended(1000)
        assert await w.types("t1") == ["submitted", "succeeded"]
        assert w.metric("relay_upstream_up") == 1

    play(tmp_path, story, timing=Timing(give_up_after=3600))


def test_one_task_of_another_account_starves_no_other(tmp_path: Path) -> None:
    """The task that is refused would always be the first in line."""

    async def story(w: World) -> None:
        w.upstream.answer = lambda task, n: error(403, "ACCESS_DENY") if task == "foreign" else succeeded(task)
        await w.watch("foreign", *(f"t{n}" for n in range(20)))

        async def others_ended() -> bool:
            return await w.pending() == 1

        await until(others_ended, 120)

    play(tmp_path, story)


def test_html_and_strange_words_are_asked_again(tmp_path: Path) -> None:
    """A gateway's error page would end a task, or crash the loop."""

    async def story(w: World) -> None:
        odd = [
            PollAnswer(200, b"<html>"),
            PollAnswer(500, b""),
            PollAnswer(200, b'{"task":3}'),
            PollAnswer(302, b""),
            PollAnswer(200, result("t1", "TASK_STATUS_CANCELED")),
            PollAnswer(200, result("t2")),
        ]
        w.upstream.answer = lambda task, n: odd[n - 1] if n <= len(odd) else succeeded(task)
        await w.watch("t1")
        await w.until_ended(3600)
        assert await w.types("t1") == ["succeeded"]
        assert w.upstream.counts["t1"] == 7

    play(tmp_path, story)
