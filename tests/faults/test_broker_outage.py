"""R3: the broker dies, comes back, hangs. Webhooks go on being acknowledged, and the backlog drains by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Load
from tests.faults.matrix import SEED, Effort, Row
from tests.faults.oracle import Seen, judge
from tests.faults.readers import read_kafka, read_redis
from tests.services.kafka import BrokerFactory
from tests.services.redis import RedisProcess
from tests.services.relay import RelayProcess

RATE = 200


class Broker:
    """One broker that can be taken away, and how to reach and read it."""

    def __init__(self, server: Any, sink: dict[str, Any], read: Callable[[], Awaitable[list[Seen]]]) -> None:
        self.server, self.sink, self.read = server, sink, read


async def kafka_alone(kafka_broker: BrokerFactory) -> Broker:
    server = kafka_broker()
    await server.start()
    sink = {"type": "kafka", "bootstrap_servers": server.bootstrap}
    return Broker(server, sink, lambda: read_kafka(server.bootstrap, "relay.tasks"))


async def redis_alone(redis_process: RedisProcess) -> Broker:
    server = redis_process()
    await server.start()
    sink = {"type": "redis", "url": server.url}
    return Broker(server, sink, lambda: read_redis(server.url, "{relay}:tasks"))


@contextmanager
def hanging(broker: Broker) -> Iterator[None]:
    broker.server.pause()
    try:
        yield
    finally:
        broker.server.resume()


@pytest.mark.row("R3", "broker loss and hang")
@pytest.mark.parametrize("kind", ["kafka", "redis"])
async def test_an_outage_of_the_broker_is_not_noticed_by_senders_and_loses_nothing(
    kind: str, kafka_broker: BrokerFactory, redis_process: RedisProcess, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P1 and P2: a broker that is down would turn webhooks away, lose events, or repeat them."""
    hang = effort(short=6, full=20)
    broker = await (kafka_alone(kafka_broker) if kind == "kafka" else redis_alone(redis_process))
    relay = RelayProcess(tmp_path / "relay", sinks=[broker.sink])
    await relay.start()
    load = Load(lambda: relay.webhook_url, rate=RATE, seed=SEED)
    await load.start()
    await asyncio.sleep(1.0)
    broker.server.kill()
    await asyncio.sleep(2.0)
    await broker.server.start()
    await asyncio.sleep(2.0)
    with hanging(broker):
        await asyncio.sleep(hang)
    await asyncio.sleep(1.0)
    await load.stop()
    await relay.until_drained(within=90)
    verdict = judge(load.acknowledged, await broker.read())
    print(
        f"{kind}: {load.tally}, p50 {load.tally.percentile(0.5) * 1e3:.1f} ms, "
        f"p99 {load.tally.percentile(0.99) * 1e3:.1f} ms, {verdict}"
    )
    assert await relay.stop() == 0
    row.load = f"{RATE}/s"
    row.injected("kill -9 of the broker")
    row.injected(f"SIGSTOP {hang} s")
    row.judged(verdict, len(load.acknowledged.ids))
    assert verdict.holds, verdict
    assert set(load.tally.answers) == {"200"}
    assert len(load.acknowledged.ids) > RATE * (hang + 3)
