"""R1: ``kill -9`` at random times under load. Every acknowledged event is on the sink exactly once, in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Load
from tests.faults.matrix import SEED, Effort, Row
from tests.faults.oracle import Seen, judge
from tests.faults.readers import read_kafka, read_redis
from tests.services.kafka import Kafka
from tests.services.redis import Redis
from tests.services.relay import RelayProcess

RATE = 300

Reader = Callable[[], Awaitable[list[Seen]]]


def sink_and_reader(kind: str, kafka: Kafka, redis_server: Redis) -> tuple[dict[str, Any], Reader]:
    """The configuration of one sink in a namespace of its own, and who reads it."""
    if kind == "kafka":
        prefix = kafka.topic_prefix()
        config = {"type": "kafka", "bootstrap_servers": kafka.bootstrap, "prefix": prefix}
        return config, lambda: read_kafka(kafka.bootstrap, prefix + "tasks")
    prefix = redis_server.prefix()
    config = {"type": "redis", "url": redis_server.url, "prefix": prefix}
    return config, lambda: read_redis(redis_server.url, prefix + "tasks")


@pytest.mark.row("R1", "crash loop")
@pytest.mark.parametrize("kind", ["kafka", "redis"])
async def test_no_event_is_lost_or_repeated_by_kill_9(
    kind: str, kafka: Kafka, redis_server: Redis, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P2, the promise that the relay exists for."""
    kills = effort(short=5, full=20)
    dice = random.Random(SEED)
    sink, reader = sink_and_reader(kind, kafka, redis_server)
    relay = RelayProcess(tmp_path / "relay", sinks=[sink])
    await relay.start()
    load = Load(lambda: relay.webhook_url, rate=RATE, seed=SEED)
    await load.start()
    starts = []
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(0.3, 3.0))
        await asyncio.to_thread(relay.kill)
        starts.append(await relay.start())
    await asyncio.sleep(1.0)
    await load.stop()
    await relay.until_drained()
    verdict = judge(load.acknowledged, await reader())
    assert await relay.stop() == 0
    print(f"{kind}: {kills} kills, {load.tally}, ready after {[round(s, 2) for s in starts]} s, {verdict}")
    row.load = f"{RATE}/s"
    row.injected("kill -9", kills)
    row.judged(verdict, len(load.acknowledged.ids))
    row.notes.append(f"ready after {max(starts):.2f} s at most")
    assert verdict.holds, verdict
    assert len(load.acknowledged.ids) > kills * 100
