"""Polling through a whole relay against an upstream in trouble: every task ends once, at no more than the rate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from relay.simulator.options import Options
from relay.simulator.outages import Trouble
from relay.simulator.server import Simulator
from tests.integration.test_task_registry import PROMPT, Caller
from tests.services.in_process import running

RATE = 40
AT_ONCE = 8
POLLING = {
    "enabled": True,
    "first_after": "500ms",
    "every": "300ms",
    "unknown_timeout": "30s",
    "max_rate": RATE,
    "concurrency": AT_ONCE,
    "give_up_after": "2m",
}
TROUBLES: list[tuple[Trouble, float]] = [("down", 3.0), ("storm", 2.0), ("html", 1.0), ("errors", 1.0), ("reset", 1.0)]
"""What befalls the upstream, one after the other, and for how many seconds."""


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def submitted(session: aiohttp.ClientSession, url: str, faults: str, count: int) -> list[str]:
    """Their ids. Submitted side by side: one after the other, eighty of them took a busy machine 105 s."""

    async def one() -> str:
        async with session.post(url + "/v3/async/txt2img", json=PROMPT, headers={"X-Simulate": faults}) as response:
            assert response.status == 200, await response.text()
            return str((await response.json())["task_id"])

    return await asyncio.gather(*(one() for _ in range(count)))


async def test_whatever_the_upstream_goes_through_each_task_ends_once(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """An outage, a storm of 429 or a few odd answers would cost tasks their ending, or give them two."""
    options = Options(queue_seconds=0.2, run_seconds=1.0, retry_after=1)
    async with (
        Simulator(options) as upstream,
        running(tmp_path, reconcile=POLLING, upstream={"base_url": upstream.url}) as relay,
    ):
        tasks = [
            *await submitted(session, relay.url, "lost", 30),
            *await submitted(session, relay.url, "lost, poll-missing=3", 20),
            *await submitted(session, relay.url, "lost, poll-missing=1, poll-error=2", 17),
            *await submitted(session, relay.url, "lost, poll-limited=1", 3),
            *await submitted(session, relay.url, "lost, fail", 10),
        ]
        for trouble, seconds in TROUBLES:
            upstream.begin_outage(trouble, seconds)
            await asyncio.sleep(seconds + 0.3)
        caller = Caller(session, relay.url)
        await caller.until_ended(len(tasks), within=200)
        ends = Counter(
            (event["subject"], event["type"])
            for event in await caller.events()
            if event["type"] != "relay.task.submitted"
        )
        assert set(ends.values()) == {1}
        assert {subject for subject, _ in ends} == set(tasks)
        assert Counter(kind for _, kind in ends) == {"relay.task.succeeded": 70, "relay.task.failed": 10}
        # Those that were under way while a busy machine stood still arrive together.
        assert max(count for _, count in upstream.ledger.polls) <= RATE + AT_ONCE


async def test_an_upstream_that_is_down_at_first_is_waited_for(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """A relay that starts before its upstream would give up what it finds in its registry."""
    async with Simulator(Options(queue_seconds=0.0, run_seconds=0.1)) as upstream:
        base = {"base_url": upstream.url}
        async with running(tmp_path, reconcile=POLLING, upstream=base) as relay:
            tasks = await submitted(session, relay.url, "lost", 10)
        upstream.begin_outage("down", 4.0)
        async with running(tmp_path, reconcile=POLLING, upstream=base) as relay:
            caller = Caller(session, relay.url)
            await caller.until_ended(10, within=120)
            assert [(await caller.task(task))["state"] for task in tasks] == ["succeeded"] * 10
