"""Where a fault test publishes to, and how it reads what came out: Kafka of two versions, and Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.harness.oracle import Seen
from tests.faults.harness.readers import read_kafka, read_redis
from tests.services.kafka import Kafka, KafkaBroker
from tests.services.redis import Redis, RedisServer

KAFKA_VERSIONS = {"kafka": None, "kafka-3.9": "3.9.1"}
"""By the name of the parameter; ``None``: the version that all tests use, 4.x."""

KAFKA_LATER = pytest.param("kafka", marks=pytest.mark.matrix)
REDIS_LATER = pytest.param("redis", marks=pytest.mark.matrix)
"""Where a row shows the same on both, ``make test`` runs it on one of them, and the matrix on both. Which one stays
alternates, so that each promise has a row on each of the two."""

OLDER_KAFKA = pytest.param("kafka-3.9", marks=pytest.mark.long)
"""It takes its turn in the long matrix; rows for which it does so in every matrix say so."""


@dataclass(frozen=True)
class Target:
    """The configuration of one sink, who reads it, and the server where it is the test's own."""

    sink: dict[str, Any]
    read_topic: Callable[[str], Awaitable[list[Seen]]]
    """``tasks``, ``chat``, ...: what consumers of the topic have seen so far."""
    server: KafkaBroker | RedisServer | None = None

    async def read(self, *topics: str) -> list[Seen]:
        """The events of these topics, one topic after the other; without any, those about tasks."""
        return [event for topic in topics or ("tasks",) for event in await self.read_topic(topic)]

    @property
    def label(self) -> str:
        """As the sink's metrics name it."""
        return str(self.sink.get("name", self.sink["type"]))


def on_kafka(kafka: Kafka, prefix: str, server: KafkaBroker | None = None, **keys: Any) -> Target:
    """A Kafka sink; ``keys`` are further configuration."""
    sink = {"type": "kafka", "bootstrap_servers": kafka.bootstrap, "prefix": prefix, **keys}
    return Target(sink, lambda topic: read_kafka(kafka.bootstrap, prefix + topic), server)


def on_redis(redis: Redis, prefix: str, server: RedisServer | None = None, **keys: Any) -> Target:
    """A Redis sink; ``keys`` are further configuration."""
    sink = {"type": "redis", "url": redis.url, "prefix": prefix, **keys}
    return Target(sink, lambda topic: read_redis(redis.url, prefix + topic), server)
