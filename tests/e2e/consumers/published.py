"""What consumers find: events of a real relay, and beside them all that they must take in their stride."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import redis.asyncio
from aiokafka import AIOKafkaProducer

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.integration.bridge import kafka_sink, redis_sink
from tests.integration.consumers import Message, of_fields, of_record
from tests.services.chat import BODY, PATH
from tests.services.kafka import Kafka, kcat_read
from tests.services.redis import Redis, redis_cli_read
from tests.services.relay import RelayProcess

Json = dict[str, Any]
Effect = tuple[str | int | None, ...]

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "novita_task"
TASKS = ("image-succeeded", "video-succeeded", "audio-succeeded", "several-kinds", "failed")
ROUNDS = 12
CHATS = ("none", "none", "chunks=20", "status=500")
TOPICS = ("tasks", "chat")
PARTITIONS = 6
SUCCEEDED, COMPLETED, LATER = "relay.task.succeeded", "relay.chat.completed", "relay.task.of-a-later-release"

NEXT_SCHEMA = "urn:relay:schema:task:2"


@dataclass(frozen=True)
class Published:
    """What is to be read from one place, and what it should come to."""

    variables: Mapping[str, str]
    messages: Sequence[Message]
    """Each once; from a broker, every second one comes again."""
    lasts: Mapping[str, str]
    """The subjects, by id, of the last events: who has had them has had all."""

    def victim(self, seen: set[str]) -> Message:
        """A task that succeeded, is still to come, and will not come again."""
        once = [message for message in self.messages[1::2] if message.id not in seen]
        return next(message for message in once if message.attributes["type"] == SUCCEEDED)

    def ids(self) -> set[str]:
        return {message.id for message in self.messages}

    def effects(self) -> Counter[Effect]:
        """What a ledger should hold."""
        return Counter(effect for message in self.messages for effect in effects_of(message))


def effects_of(message: Message) -> list[Effect]:
    """The outputs of a successful task, or the tokens of a completed chat."""
    data = json.loads(message.data)
    if message.attributes["type"] == SUCCEEDED:
        return [(data["task_id"], output["kind"], output["url"]) for output in data["outputs"]]
    if message.attributes["type"] == COMPLETED:
        return [(data["chat_id"], data["model"], data["usage"]["total_tokens"])]
    return []


async def published(directory: Path, kafka: Kafka, server: Redis) -> tuple[RelayProcess, dict[str, Published]]:
    """A relay that goes on running, and by ``kafka``, ``redis`` and ``http`` what can be read there."""
    topic, key = kafka.topic_prefix(), server.prefix()
    sinks = [kafka_sink(kafka, topic, partitions=PARTITIONS), redis_sink(server.url, key)]
    async with Simulator(Options()) as simulator:
        relay = RelayProcess(directory, sinks=sinks, upstream={"base_url": simulator.url})
        await relay.start()
        try:
            await _use(relay)
            await relay.until_drained()
            places = {
                "http": await _on_http(relay),
                "kafka": await _on_kafka(kafka, topic),
                "redis": await _on_redis(server, key),
            }
        except BaseException:
            relay.kill()
            raise
    return relay, places


async def _use(relay: RelayProcess) -> None:
    """Tasks of each kind that end, and chats that go well and do not."""
    async with aiohttp.ClientSession() as session:
        for script in CHATS:
            async with session.post(relay.url + PATH, json=BODY, headers={"X-Simulate": script}) as answer:
                await answer.read()
        for name in TASKS * ROUNDS:
            delivery = json.loads((SAMPLES / f"{name}.json").read_bytes())
            delivery.get("payload", delivery)["task"]["task_id"] = str(uuid.uuid4())
            async with session.post(relay.webhook_url, json=delivery) as answer:
                assert (await answer.json())["status"] == "accepted"


async def _on_http(relay: RelayProcess) -> Published:
    async with aiohttp.ClientSession() as session, session.get(f"{relay.url}/v1/events?limit=1000") as answer:
        events = [entry["event"] for entry in (await answer.json())["events"]]
    messages = [Message(event, json.dumps(event["data"]).encode()) for event in events]
    return Published({"RELAY_URL": relay.url}, messages, {messages[-1].id: messages[-1].subject})


async def _on_kafka(kafka: Kafka, prefix: str) -> Published:
    messages: list[Message] = []
    lasts: dict[str, str] = {}
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{prefix}strangers") as producer:
        for topic in TOPICS:
            records = await asyncio.to_thread(kcat_read, kafka.bootstrap, prefix + topic)
            originals = [of_record(record) for record in records]
            pattern = _pattern_in(originals)
            last = [_unlike(pattern, f"last-{topic}-{partition}") for partition in range(PARTITIONS)]
            await producer.begin_transaction()
            for partition in range(PARTITIONS):
                await _send(producer, prefix + topic, partition, _unlike(pattern, f"aborted-{topic}-{partition}"))
            await producer.flush()
            await producer.abort_transaction()
            async with producer.transaction():
                for record, again in list(zip(records, originals, strict=True))[::2]:
                    await _send(producer, prefix + topic, record.partition, again)
                await _send(producer, prefix + topic, 0, later := _of_a_later_release(pattern, topic))
                for partition, message in enumerate(last):
                    await _send(producer, prefix + topic, partition, message)
            messages += [*originals, later, *last]
            lasts |= {message.id: message.subject for message in last}
    return Published({"KAFKA": kafka.bootstrap, "KAFKA_PREFIX": prefix}, messages, lasts)


async def published_by_a_successor(kafka: Kafka, server: Redis) -> dict[str, Mapping[str, str]]:
    """By place, what leads to an event of a known type that follows the next version of its schema."""
    topic, key = kafka.topic_prefix(), server.prefix()
    attributes = {
        "specversion": "1.0",
        "id": "t-1:succeeded",
        "source": "/novita/tasks",
        "type": SUCCEEDED,
        "subject": "t-1",
        "dataschema": NEXT_SCHEMA,
    }
    message = Message(attributes, b'{"results": []}')
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for name in TOPICS:
            await producer.partitions_for(topic + name)
        await _send(producer, f"{topic}tasks", 0, message)
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.xadd(f"{key}tasks", {**message.attributes, "data": message.data})
    return {
        "kafka": {"KAFKA": kafka.bootstrap, "KAFKA_PREFIX": topic},
        "redis": {"REDIS_URL": server.url, "REDIS_PREFIX": key},
    }


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, message: Message) -> None:
    headers = {"content-type": "application/json"} | {
        f"ce_{name}": value for name, value in message.attributes.items() if name != "datacontenttype"
    }
    encoded = [(name, value.encode()) for name, value in headers.items()]
    await producer.send(topic, message.data, message.subject.encode(), partition, headers=encoded)


async def _on_redis(server: Redis, prefix: str) -> Published:
    messages: list[Message] = []
    lasts: dict[str, str] = {}
    async with redis.asyncio.Redis.from_url(server.url) as client:
        for topic in TOPICS:
            entries = await asyncio.to_thread(redis_cli_read, server.url, prefix + topic)
            originals = [of_fields(fields) for _, fields in entries]
            pattern = _pattern_in(originals)
            new = [_of_a_later_release(pattern, topic), _unlike(pattern, f"last-{topic}")]
            for message in (*originals[::2], *new):
                await client.xadd(prefix + topic, {**message.attributes, "data": message.data})
            messages += [*originals, *new]
            lasts[new[-1].id] = new[-1].subject
    return Published({"REDIS_URL": server.url, "REDIS_PREFIX": prefix}, messages, lasts)


def _pattern_in(messages: Sequence[Message]) -> Message:
    """An event that has an effect."""
    return next(message for message in messages if effects_of(message))


def _unlike(pattern: Message, name: str) -> Message:
    """A fact of its own, with fields that no schema knows yet, in the attributes and in the data."""
    subject = str(uuid.uuid4())
    attributes = {**pattern.attributes, "id": f"{name}-{subject}", "subject": subject, "severity": "new"}
    data = json.loads(pattern.data)
    data |= {name: subject for name in ("task_id", "chat_id") if name in data} | {"priority": {"of": ["a", "later"]}}
    for output in data.get("outputs", ()):
        output["checksum"] = "a field of a later release"
    return Message(attributes, json.dumps(data).encode())


def _of_a_later_release(pattern: Message, topic: str) -> Message:
    """A type that nobody knows yet."""
    message = _unlike(pattern, f"later-{topic}")
    unknown = {"type": LATER, "dataschema": "urn:relay:schema:task-superseded:1"}
    return Message({**message.attributes, **unknown}, b'{"superseded_by": 17}')
