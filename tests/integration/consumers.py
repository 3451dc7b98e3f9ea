"""Consumers of the real sinks: programs that share no code with the relay, and the clients that Python users have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import redis.asyncio
from aiokafka import AIOKafkaConsumer

from tests.services.kafka import Kafka, Record, kcat_read
from tests.services.redis import Redis, redis_cli_read

Fields = dict[str, bytes]


@dataclass(frozen=True)
class Message:
    """One event as a consumer sees it, whatever it reads from: the attributes by their CloudEvents names, and data."""

    attributes: dict[str, str]
    data: bytes

    @property
    def id(self) -> str:
        return self.attributes["id"]

    @property
    def subject(self) -> str:
        return self.attributes["subject"]


def of_record(record: Record) -> Message:
    """A record of Kafka, in binary content mode."""
    attributes = {name.removeprefix("ce_"): value or "" for name, value in record.headers.items()}
    attributes["datacontenttype"] = attributes.pop("content-type")
    assert record.key is not None
    assert record.value is not None
    assert record.key.decode() == attributes["subject"], "the key is not the subject"
    return Message(attributes, record.value)


def of_fields(fields: Fields) -> Message:
    """An entry of a Redis stream."""
    return Message({name: value.decode() for name, value in fields.items() if name != "data"}, fields["data"])


async def kcat(kafka: Kafka, topic: str) -> list[Record]:
    """All committed records of a topic."""
    return await asyncio.to_thread(kcat_read, kafka.bootstrap, topic)


async def python_kafka(kafka: Kafka, topic: str) -> list[Record]:
    """All committed records of a topic, by aiokafka."""
    async with _reading(kafka, topic, "read_committed") as consumer:
        found: list[Record] = []
        for partition, end in (await consumer.end_offsets(consumer.assignment())).items():
            while await consumer.position(partition) < end:
                for fetched in (await consumer.getmany(timeout_ms=100)).values():
                    found += map(_record, fetched)
    return sorted(found, key=lambda record: (record.partition, record.offset))


@asynccontextmanager
async def _reading(kafka: Kafka, topic: str, isolation_level: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap,
        isolation_level=isolation_level,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
    )
    async with asyncio.timeout(30):
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


def _record(fetched: Any) -> Record:
    headers = {name: value.decode() for name, value in fetched.headers}
    return Record(fetched.key, fetched.value, headers, fetched.partition, fetched.offset)


async def redis_cli(server: Redis, key: str) -> list[Fields]:
    """All entries of a stream."""
    return [fields for _, fields in await asyncio.to_thread(redis_cli_read, server.url, key)]


async def python_redis(server: Redis, key: str) -> list[Fields]:
    """All entries of a stream, by redis-py."""
    async with redis.asyncio.Redis.from_url(server.url) as client:
        entries = await client.xrange(key)
    return [{name.decode(): value for name, value in fields.items()} for _, fields in entries]


async def on_kafka(kafka: Kafka, topic: str) -> list[Message]:
    """What both readers of Kafka see, which must be the same."""
    records = await kcat(kafka, topic)
    assert records == await python_kafka(kafka, topic), "kcat and aiokafka disagree"
    return [of_record(record) for record in records]


async def on_redis(server: Redis, key: str) -> list[Message]:
    """What both readers of Redis see, which must be the same."""
    entries = await redis_cli(server, key)
    assert entries == await python_redis(server, key), "redis-cli and redis-py disagree"
    return [of_fields(fields) for fields in entries]
