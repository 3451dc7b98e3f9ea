"""R19: several relays feed one sink, each task is delivered five times to whichever is next, and two of them die at
random. Each task is one event, whichever replica accepted it."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Shared
from tests.faults.harness.fleet import Fleet, Killing
from tests.faults.harness.load import Sender, delivery
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.oracle import Evidence, judge
from tests.faults.harness.record import Record
from tests.faults.harness.targets import REDIS_LATER
from tests.services.redis import Redis

COPIES = 5
CLIENTS = 48


def sections_for(kind: str, redis_server: Redis) -> dict[str, Any]:
    """How replicas know of each other: the shared index for Kafka; on Redis the sink's own script."""
    return {"dedup": {"shared_index": redis_server.url}} if kind == "kafka" else {}


async def deal(sender: Sender, bodies: Sequence[bytes]) -> None:
    """Posts all bodies through ``CLIENTS`` clients, each until it has its 2xx."""
    queue = iter(bodies)

    async def client() -> None:
        for body in queue:
            await sender.until_acknowledged(body)

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(client())


@pytest.mark.row("R19", "several replicas")
@pytest.mark.parametrize("kind", ["kafka", REDIS_LATER])
async def test_each_task_is_one_event_whichever_replicas_accept_it_and_die(
    kind: str, shared: Shared, redis_server: Redis, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P2 and P4 with several replicas: a task would be published by two of them, or by none."""
    dice = random.Random(row.seed)
    tasks = effort(short=1_000, full=10_000)
    ids = [str(uuid.UUID(int=dice.getrandbits(128), version=4)) for _ in range(tasks)]
    bodies = [body for task_id in ids for body in [delivery(task_id, dice)] * COPIES]
    dice.shuffle(bodies)
    target = shared(kind)
    if kind == "redis":
        target.sink["shared_window"] = "1h"
    record = Record(tmp_path / "record")
    row.load = f"{tasks} tasks x {COPIES}"
    async with Fleet(tmp_path, target, **sections_for(kind, redis_server)) as fleet:
        async with (
            Sender(lambda: fleet.webhook_url, record, clients=CLIENTS) as sender,
            Killing(fleet.relays[1:], dice, (0.5, 2.0)) as killing,
        ):
            await deal(sender, bodies)
        row.injected("kill -9", killing.kills)
        await fleet.until_drained()
        seen = await target.read()
        balances = await fleet.balances()
        overrun = await fleet.facts("overrun")
        assert await fleet.stop() == []
    verdict = judge(Evidence(record.read(), seen))
    row.judged(verdict, len(record.read().ids))
    print(f"{verdict}, {sender.tally.answers}, {balances}")
    assert verdict.holds, verdict
    assert len(seen) == tasks
    assert killing.kills >= effort(short=1, full=5)
    for balance in balances:
        assert balance["accepted"] == sum(balance.values()) - balance["accepted"]
        assert (balance["pending"], balance["dead"]) == (0, 0)
    assert sum(balance["published"] for balance in balances) == tasks
    assert sum(balance["absorbed"] for balance in balances) > tasks
    assert overrun == 0
