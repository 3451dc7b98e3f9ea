"""R30 and R31: much waits, in large events or behind a slow link, and all of it gets through."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults.conftest import Linked, Own
from tests.faults.harness.load import Sender, delivery, new_task
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.targets import KAFKA_LATER, OLDER_KAFKA
from tests.faults.harness.trial import Trial

KB = 1000
AT_ONCE = 8


async def accepted(trial: Trial, sizes: Iterable[int]) -> None:
    """Delivers one task of each size (bytes), and waits for every 2xx."""
    dice, room = random.Random(trial.row.seed), asyncio.Semaphore(AT_ONCE)

    async def one(sender: Sender, body: bytes) -> None:
        async with room:
            await sender.until_acknowledged(body)

    async with Sender(lambda: trial.relay.webhook_url, trial.load.record) as sender, asyncio.TaskGroup() as group:
        for size in sizes:
            group.create_task(one(sender, delivery(new_task(dice), dice, size=size)))


@pytest.mark.row("R30", "slow link after an outage")
@pytest.mark.parametrize("kind", [KAFKA_LATER, "redis", OLDER_KAFKA])
async def test_a_backlog_gets_through_a_slow_link(
    kind: str, linked: Linked, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: a batch that takes longer than the sink waits would be tried at the same size forever, and so would an
    event that takes longer by itself."""
    rate, seconds = (400 * KB, "1s") if effort.size == "short" else (100 * KB, "5s")
    timeout = {"socket_timeout": seconds, "wait_timeout": "500ms"} if kind == "redis" else {"publish_timeout": seconds}
    target, link = await linked(kind, rate, **timeout)
    row.load = "200 of 6 kB and one of 900 kB"
    async with Trial(tmp_path, target, row=row) as trial:
        await accepted(trial, [6 * KB] * 100 + [900 * KB] + [6 * KB] * 100)
        trial.injected(f"link of {rate // KB} kB/s, timeout {seconds}")
        async with link:
            await trial.conclude(within=150)


@pytest.mark.row("R31", "large events while the sink is away")
@pytest.mark.parametrize(
    "kind",
    [KAFKA_LATER, "redis", OLDER_KAFKA],
)
async def test_large_events_wait_for_the_sink_and_get_through(
    kind: str, own: Own, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: what waits would be read at once, beyond the memory that the relay may take, or be refused in the end."""
    target = await own(kind)
    assert target.server is not None
    count = effort(short=40, full=400)
    dice = random.Random(row.seed)
    row.load = f"{count} of 100 kB to 1 MB"
    async with Trial(tmp_path, target, row=row) as trial:
        trial.injected("kill -9 of the broker")
        await asyncio.to_thread(target.server.kill)
        await accepted(trial, [dice.randrange(100 * KB, 1000 * KB) for _ in range(count)])
        await target.server.start()
        trial.happened("broker is back")
        await trial.conclude(within=150)
