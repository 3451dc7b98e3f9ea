"""Each sink has its own checkpoint: what one lacks never holds up the other, and is not forgotten."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration import consumers
from tests.integration.bridge import States, kafka_sink, redis_sink
from tests.integration.conftest import MakeBridge, Pair
from tests.integration.deliveries import new_task, succeeded
from tests.services.kafka import BrokerFactory, Kafka
from tests.services.redis import RedisProcess

CARE_CYCLES = 0.5
"""Seconds in which the journal looks after itself ten times under the fixture ``swift_maintenance``."""


def bodies(count: int) -> list[bytes]:
    return [succeeded(new_task()) for _ in range(count)]


async def test_redis_down_from_the_start_catches_up(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess
) -> None:
    """One sink that is away would stop the other, or lose what was accepted meanwhile."""
    late = redis_process()
    relay = bridge(pair.kafka_sink(), redis_sink(late.url, pair.key))
    await relay.start()
    ids = await relay.accept(*bodies(30))
    await relay.until_published("kafka")
    assert sorted(m.id for m in await pair.on_kafka()) == sorted(ids)
    assert await relay.states("kafka") == States(published=30, pending=0, dead=0)
    assert await relay.states("redis") == States(published=0, pending=30, dead=0)
    assert await relay.metric("relay_sink_up", sink="redis") == 0

    await late.start()
    await relay.until_published()
    assert [m.id for m in await consumers.on_redis(late.redis, pair.key + "tasks")] == ids
    assert sorted(m.id for m in await pair.on_kafka()) == sorted(ids)
    assert await relay.states("redis") == States(published=30, pending=0, dead=0)


async def test_kafka_down_from_the_start_catches_up(
    pair: Pair, bridge: MakeBridge, kafka_broker: BrokerFactory
) -> None:
    """The same with the sinks' parts exchanged: opening a producer without a broker could hang the relay."""
    late = kafka_broker()
    relay = bridge(kafka_sink(Kafka(late.bootstrap), pair.topic), pair.redis_sink())
    await relay.start()
    ids = await relay.accept(*bodies(30))
    await relay.until_published("redis")
    assert [m.id for m in await pair.on_redis()] == ids
    assert await relay.states("kafka") == States(published=0, pending=30, dead=0)

    await late.start()
    await relay.until_published()
    assert sorted(m.id for m in await consumers.on_kafka(Kafka(late.bootstrap), pair.topic + "tasks")) == sorted(ids)
    assert [m.id for m in await pair.on_redis()] == ids
    assert await relay.states("kafka") == States(published=30, pending=0, dead=0)


async def test_a_full_backlog_refuses_and_recovers_by_itself(
    pair: Pair, bridge: MakeBridge, kafka_broker: BrokerFactory, redis_process: RedisProcess
) -> None:
    """P1 broken: with both sinks away the journal would grow without end, or the relay would stay shut after it."""
    broker, server = kafka_broker(), redis_process()
    kafka = Kafka(broker.bootstrap)
    relay = bridge(kafka_sink(kafka, pair.topic), redis_sink(server.url, pair.key), journal={"max_backlog": 10})
    await relay.start()
    ids = await relay.accept(*bodies(10))
    one_more = succeeded(new_task())
    refused = await relay.deliver(one_more)
    assert (refused.status, refused.body["code"]) == (503, "backlog_full")
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (await relay.request("GET", "/readyz", admin=True)).status == 503
    assert (await relay.request("GET", "/livez", admin=True)).status == 200

    await asyncio.gather(broker.start(), server.start())
    async with asyncio.timeout(30):
        while (answer := await relay.deliver(one_more)).status == 503:
            await asyncio.sleep(0.05)
    assert (answer.status, answer.body["status"]) == (200, "accepted")
    assert (await relay.request("GET", "/readyz", admin=True)).status == 200
    ids.append(answer.body["event_id"])
    await relay.until_published()
    assert [m.id for m in await consumers.on_redis(server.redis, pair.key + "tasks")] == ids
    assert sorted(m.id for m in await consumers.on_kafka(kafka, pair.topic + "tasks")) == sorted(ids)
    for sink in ("kafka", "redis"):
        assert await relay.states(sink) == States(published=11, pending=0, dead=0)
    assert await relay.metric("relay_deliveries_total", result="accepted") == 11


@pytest.mark.usefixtures("swift_maintenance")
async def test_retention_prunes_only_what_both_sinks_have(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess
) -> None:
    """Retention would delete events that a sink which is away has not got: a silent loss."""
    server = redis_process()
    await server.start()
    relay = bridge(pair.kafka_sink(), redis_sink(server.url, pair.key), journal={"retention": "0s"})
    await relay.start()
    ids = await relay.accept(*bodies(5))
    await relay.until_pruned()

    await asyncio.to_thread(server.kill)
    ids += await relay.accept(*bodies(5))
    await relay.until_published("kafka")
    await asyncio.sleep(CARE_CYCLES)
    assert await relay.metric("relay_journal_events") == 5

    await server.start()
    await relay.until_pruned()
    assert [m.id for m in await consumers.on_redis(server.redis, pair.key + "tasks")] == ids
    assert sorted(m.id for m in await pair.on_kafka()) == sorted(ids)
    for sink in ("kafka", "redis"):
        assert await relay.states(sink) == States(published=10, pending=0, dead=0)


@pytest.mark.usefixtures("swift_maintenance")
async def test_a_sink_that_is_no_longer_configured_holds_nothing_back(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess
) -> None:
    """Removing a sink for good would leave the journal growing, and the backlog full, for a sink that never comes."""
    relay = bridge(
        pair.kafka_sink(), redis_sink(redis_process().url, pair.key), journal={"retention": "0s", "max_backlog": 5}
    )
    await relay.start()
    await relay.accept(*bodies(5))
    await relay.until_published("kafka")
    await asyncio.sleep(CARE_CYCLES)
    assert await relay.metric("relay_journal_events") == 5
    assert (await relay.deliver(succeeded(new_task()))).status == 503

    relay.sinks.pop()
    await relay.restart()
    await relay.until_pruned()
    await relay.accept(*bodies(1))
    await relay.until_published()
    assert len(await pair.on_kafka()) == 6
    assert await relay.states("kafka") == States(published=6, pending=0, dead=0)


@pytest.mark.usefixtures("swift_maintenance")
async def test_a_sink_added_later_gets_what_is_retained(pair: Pair, bridge: MakeBridge) -> None:
    """A new sink would start empty although the journal still holds the last week, or repeat things elsewhere."""
    relay = bridge(pair.kafka_sink(), journal={"retention": "0s"})
    await relay.start()
    gone = await relay.accept(*bodies(4))
    await relay.until_pruned()
    relay.sections["journal"] = {"retention": "7d"}
    await relay.restart()
    retained = await relay.accept(*bodies(3))
    await relay.until_published()

    relay.sinks.append(pair.redis_sink())
    await relay.restart()
    await relay.until_published()
    assert [m.id for m in await pair.on_redis()] == retained
    assert sorted(m.id for m in await pair.on_kafka()) == sorted(gone + retained)
    assert await relay.states("kafka") == States(published=7, pending=0, dead=0)
    assert await relay.states("redis") == States(published=3, pending=0, dead=0)
    new = await relay.accept(*bodies(1))
    await relay.until_published()
    assert [m.id for m in await pair.on_redis()] == retained + new


@pytest.mark.usefixtures("swift_maintenance")
async def test_a_sink_added_later_waits_only_for_what_is_retained(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess
) -> None:
    """Events that were pruned long ago would count as the new sink's backlog, and the relay refuse every delivery
    until that sink is there."""
    relay = bridge(pair.kafka_sink(), journal={"retention": "0s", "max_backlog": 5})
    await relay.start()
    for _ in range(3):
        await relay.accept(*bodies(3))
        await relay.until_published()
    await relay.until_pruned()

    relay.sinks.append(redis_sink(redis_process().url, pair.key))
    await relay.restart()
    assert await relay.states("redis") == States(published=0, pending=0, dead=0)
    await relay.accept(*bodies(2))
    assert await relay.states("redis") == States(published=0, pending=2, dead=0)
