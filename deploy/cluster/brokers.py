"""The brokers beside the cluster, and how consumers read them: with programs that share no code with the relay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from deploy.cluster.network import CONTROL
from tests.faults.harness.oracle import Seen
from tests.faults.harness.readers import read_kafka, read_redis
from tests.services.kafka import KafkaBroker
from tests.services.redis import RedisServer

REDIS_PORT, KAFKA_PORT = 6379, 9092


class Server(Protocol):
    """A process that may hang."""

    def pause(self) -> None:
        """Connections stay open and nothing answers."""

    def resume(self) -> None:
        """It goes on."""


@dataclass(frozen=True)
class Broker:
    """``kind`` names it everywhere. ``config``: the relay's part about it, for several replicas."""

    kind: str
    server: Server
    port: int
    config: dict[str, Any]
    read: Callable[[], Awaitable[list[Seen]]]


async def start_redis(folder: Path) -> RedisServer:
    """On every address. Kafka's replicas have their shared index in it, too."""
    server = RedisServer(folder, "--bind", "0.0.0.0", "--protected-mode", "no", port=REDIS_PORT)
    await server.start()
    return server


async def start_kafka(folder: Path) -> KafkaBroker:
    """Under the address by which the pods reach it."""
    addresses = f"PLAINTEXT://0.0.0.0:{KAFKA_PORT},CONTROLLER://127.0.0.1:{KAFKA_PORT + 1}"
    settings = {
        "listeners": addresses,
        "advertised.listeners": f"PLAINTEXT://{CONTROL}:{KAFKA_PORT}",
        "controller.quorum.voters": f"1@127.0.0.1:{KAFKA_PORT + 1}",
    }
    broker = KafkaBroker(folder, settings)
    broker.port = KAFKA_PORT
    await broker.start()
    return broker


def redis(server: Server, prefix: str = "relay") -> Broker:
    """The sink, as several replicas need it. ``prefix``: of its keys."""
    url = f"redis://redis:{REDIS_PORT}/0"
    sink = {"type": "redis", "url": url, "prefix": f"{{{prefix}}}:", "shared_window": "7d"}
    outside = f"redis://{CONTROL}:{REDIS_PORT}/0"
    return Broker("redis", server, REDIS_PORT, {"sinks": [sink]}, lambda: read_redis(outside, f"{{{prefix}}}:tasks"))


def kafka(server: Server, prefix: str = "relay") -> Broker:
    """The sink, and the index that its replicas share. ``prefix``: of its topics."""
    bootstrap = f"{CONTROL}:{KAFKA_PORT}"
    sink = {"type": "kafka", "bootstrap_servers": f"kafka:{KAFKA_PORT}", "prefix": f"{prefix}."}
    config = {"sinks": [sink], "dedup": {"shared_index": f"redis://{CONTROL}:{REDIS_PORT}/4"}}
    return Broker("kafka", server, KAFKA_PORT, config, lambda: read_kafka(bootstrap, f"{prefix}.tasks"))


BROKERS: dict[str, Callable[..., Broker]] = {"redis": redis, "kafka": kafka}
