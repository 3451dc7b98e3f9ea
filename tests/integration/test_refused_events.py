"""An event that Kafka will never take: buried there, published on Redis, and nobody else suffers for it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.integration.bridge import Bridge, States
from tests.integration.conftest import MakeBridge, Pair
from tests.integration.deliveries import new_task, succeeded

KIB, MIB = 1024, 1024 * 1024


async def configure(pair: Pair, limit: int, *, create: bool = False) -> None:
    """Sets what the topic of task events takes at most, as its owner would. One partition: all are neighbours."""
    topic, settings = pair.topic + "tasks", {"max.message.bytes": str(limit)}
    admin = AIOKafkaAdminClient(bootstrap_servers=pair.kafka.bootstrap)
    await admin.start()
    try:
        if create:
            await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=settings)])
        else:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
    finally:
        await admin.close()


async def around(relay: Bridge, poison: bytes) -> tuple[str, list[str]]:
    """A poisonous delivery between ordinary ones: its event's id, and theirs."""
    before = await relay.accept(*(succeeded(new_task()) for _ in range(10)))
    (poisonous,) = await relay.accept(poison)
    after = await relay.accept(*(succeeded(new_task()) for _ in range(10)))
    return poisonous, before + after


async def check_buried(relay: Bridge, pair: Pair, poisonous: str, neighbours: list[str]) -> dict[str, Any]:
    """Its neighbours are on both sinks, itself on Redis, and a letter about it on both; answers that letter."""
    assert Counter(m.id for m in await pair.on_kafka()) == Counter(neighbours)
    assert Counter(m.id for m in await pair.on_redis()) == Counter([*neighbours, poisonous])
    (letter,) = await relay.dead_letters()
    assert (letter["origin"], letter["reason"], letter["event"]["id"]) == ("kafka", "record_too_large", poisonous)
    for messages in (await pair.on_kafka("dead-letters"), await pair.on_redis("dead-letters")):
        (message,) = messages
        data = orjson.loads(message.data)
        assert message.attributes["source"] == "/relay/sinks/kafka"
        assert (data["dead_letter_id"], data["event"]["id"]) == (letter["id"], poisonous)
    # 21 deliveries and the letter: one of them is dead to Kafka, none to Redis.
    assert await relay.states("kafka") == States(published=21, pending=0, dead=1)
    assert await relay.states("redis") == States(published=22, pending=0, dead=0)
    assert await relay.metric("relay_dead_letters_total", reason="record_too_large") == 1
    assert await relay.metric("relay_dead_letters_held") == 1
    return letter


async def replay(relay: Bridge, letter: dict[str, Any]) -> None:
    answer = await relay.request("POST", f"/v1/dead-letters/{letter['id']}/replay")
    assert (answer.status, answer.body["status"]) == (200, "accepted"), answer
    assert answer.body["event_id"] == letter["event"]["id"]
    assert await relay.dead_letters() == []
    again = await relay.request("POST", f"/v1/dead-letters/{letter['id']}/replay")
    assert again.status == 404
    await relay.until_published()


async def check_replayed(relay: Bridge, pair: Pair, poisonous: str, neighbours: list[str]) -> None:
    """It is on Kafka, once, and not on Redis or in the HTTP stream a second time."""
    everything = Counter([*neighbours, poisonous])
    assert Counter(m.id for m in await pair.on_kafka()) == everything
    assert Counter(m.id for m in await pair.on_redis()) == everything
    assert Counter(event["event"]["id"] for event in await relay.events(topic="tasks")) == everything
    on_kafka = {m.id: m for m in await pair.on_kafka()}
    on_redis = {m.id: m for m in await pair.on_redis()}
    assert on_kafka[poisonous] == on_redis[poisonous]


async def test_an_event_that_the_topic_refuses(pair: Pair, bridge: MakeBridge) -> None:
    """One large event would stop Kafka for good, or take its neighbours with it, or never reach Redis."""
    await configure(pair, 20 * KIB, create=True)
    relay = bridge(*pair.sinks())
    await relay.start()
    poisonous, neighbours = await around(relay, succeeded(new_task(), filler=30 * KIB))
    await relay.until_published()
    letter = await check_buried(relay, pair, poisonous, neighbours)

    await configure(pair, MIB)
    await replay(relay, letter)
    await check_replayed(relay, pair, poisonous, neighbours)
    assert await relay.states("kafka") == States(published=22, pending=0, dead=1)


async def test_an_event_that_is_larger_than_max_request_size(pair: Pair, bridge: MakeBridge) -> None:
    """The same where the relay itself knows that Kafka would refuse it, and the limit is raised by a restart."""
    relay = bridge(*pair.sinks(), webhooks={"max_body": "4MiB"})
    await relay.start()
    poisonous, neighbours = await around(relay, succeeded(new_task(), filler=MIB))
    await relay.until_published()
    letter = await check_buried(relay, pair, poisonous, neighbours)

    await configure(pair, 4 * MIB)
    relay.sinks[0] = pair.kafka_sink(max_request_size="4MiB")
    await relay.restart()
    await replay(relay, letter)
    await check_replayed(relay, pair, poisonous, neighbours)


async def test_a_replay_that_is_refused_again_is_a_letter_again(pair: Pair, bridge: MakeBridge) -> None:
    """Replaying too early would lose the event: its letter is gone and Kafka still refuses it."""
    await configure(pair, 20 * KIB, create=True)
    relay = bridge(*pair.sinks())
    await relay.start()
    (poisonous,) = await relay.accept(succeeded(new_task(), filler=30 * KIB))
    await relay.until_published()
    (first,) = await relay.dead_letters()
    answer = await relay.request("POST", f"/v1/dead-letters/{first['id']}/replay")
    assert answer.status == 200
    await relay.until_published()
    (second,) = await relay.dead_letters()
    assert second["id"] != first["id"]
    assert (second["event"]["id"], second["origin"]) == (poisonous, "kafka")

    await configure(pair, MIB)
    await replay(relay, second)
    assert [m.id for m in await pair.on_kafka()] == [poisonous]
    assert [m.id for m in await pair.on_redis()] == [poisonous]


async def test_the_balance_holds_after_a_replay(pair: Pair, bridge: MakeBridge) -> None:
    """P5 broken: an entry that is meant for one sink would be missing, or counted, at the other."""
    await configure(pair, 20 * KIB, create=True)
    relay = bridge(*pair.sinks())
    await relay.start()
    await relay.accept(succeeded(new_task(), filler=30 * KIB), succeeded(new_task()))
    await relay.until_published()
    (letter,) = await relay.dead_letters()
    await configure(pair, MIB)
    await replay(relay, letter)
    # Two deliveries and one letter for each; the replay is Kafka's alone.
    assert await relay.states("redis") == States(published=3, pending=0, dead=0)
    assert await relay.states("kafka") == States(published=3, pending=0, dead=1)
