"""R15: every event is delivered five times, in no order, by several clients at once, across a crash."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Shared
from tests.faults.harness.load import Sender, delivery, new_task
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.trial import Trial

COPIES = 5
CLIENTS = 8


async def deliver(sender: Sender, bodies: Iterator[bytes]) -> None:
    """One client: takes the next delivery and tries until it has its 2xx."""
    for body in bodies:
        await sender.until_acknowledged(body)


@pytest.mark.row("R15", "redelivery storm")
async def test_a_storm_of_redeliveries_is_one_event_each(
    shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P4: repetitions that race each other, or a restart, would reach consumers."""
    dice = random.Random(row.seed)
    count = effort(short=1500, full=10_000)
    bodies = [delivery(new_task(dice), dice) for _ in range(count)] * COPIES
    dice.shuffle(bodies)
    row.load = f"{count} events x {COPIES}, {CLIENTS} clients"
    async with Trial(tmp_path, shared("kafka"), shared("redis"), row=row) as trial:
        one_by_one = iter(bodies)
        async with Sender(lambda: trial.relay.webhook_url, trial.load.record, clients=CLIENTS) as sender:
            clients = asyncio.gather(*(deliver(sender, one_by_one) for _ in range(CLIENTS)))
            await trial.acknowledged(len(bodies) // 2, within=200)
            await trial.kill()
            await trial.restart()
            await clients
        verdicts = await trial.conclude()
    assert [verdict.seen for verdict in verdicts] == [count, count]
    assert trial.load.record.count == len(bodies)
