"""Fixtures of the tests that put a whole relay between real sinks."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay.journal import maintenance
from tests.integration import consumers
from tests.integration.bridge import Bridge, Sink, kafka_sink, redis_sink
from tests.integration.consumers import Message
from tests.integration.redis_publishing import Connect, sinks
from tests.services.kafka import Kafka
from tests.services.redis import Redis, RedisProcess, RedisServer, redis_cli

MakeBridge = Callable[..., Bridge]


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[MakeBridge]:
    """Makes relays, not yet started: ``bridge(kafka_sink(...), redis_sink(...), journal={...})``; stops them all."""
    made: list[Bridge] = []

    def make(*sinks: Sink, **sections: Any) -> Bridge:
        made.append(Bridge(tmp_path / f"relay-{len(made)}", *sinks, **sections))
        return made[-1]

    yield make
    for each in made:
        await each.stop()


@dataclass(frozen=True)
class Pair:
    """A Kafka and a Redis, and a namespace on each."""

    kafka: Kafka
    redis: Redis
    topic: str
    key: str

    def kafka_sink(self, **keys: Any) -> Sink:
        return kafka_sink(self.kafka, self.topic, **keys)

    def redis_sink(self, **keys: Any) -> Sink:
        return redis_sink(self.redis.url, self.key, **keys)

    def sinks(self) -> tuple[Sink, Sink]:
        return self.kafka_sink(), self.redis_sink()

    async def on_kafka(self, topic: str = "tasks") -> list[Message]:
        return await consumers.on_kafka(self.kafka, self.topic + topic)

    async def on_redis(self, topic: str = "tasks") -> list[Message]:
        return await consumers.on_redis(self.redis, self.key + topic)

    def redis_cli(self, *command: str) -> bytes:
        """The answer to one command."""
        return redis_cli(self.redis.port, *command)

    async def tasks(self) -> dict[str, list[Message]]:
        """The task events, by sink."""
        return {"kafka": await self.on_kafka(), "redis": await self.on_redis()}


@pytest.fixture
def pair(kafka: Kafka, redis_server: Redis) -> Pair:
    """The run's Kafka and the session's Redis."""
    return Pair(kafka, redis_server, kafka.topic_prefix(), redis_server.prefix())


@pytest.fixture
def swift_maintenance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the journal look after itself within a second: dedup keys are merged each minute, rows leave after that."""
    monkeypatch.setattr(maintenance, "_MERGE_EVERY", 0.1)
    monkeypatch.setattr(maintenance, "_EVERY", 0.05)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ca.crt``, and ``server.crt`` with ``server.key`` for 127.0.0.1 signed by it."""
    directory = tmp_path_factory.mktemp("tls")
    (directory / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]

    def run(*args: str) -> None:
        subprocess.run(args, cwd=directory, check=True, capture_output=True, timeout=60)

    run(*new, "-x509", "-days", "2", "-subj", "/CN=test ca", "-keyout", "ca.key", "-out", "ca.crt")
    run(*new, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
    sign = ["openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    run(*sign, "-days", "2", "-extfile", "san", "-out", "server.crt")
    return directory


@pytest.fixture
async def tls_server(redis_process: RedisProcess, certificates: Path) -> RedisServer:
    """A Redis that speaks only TLS and asks for a client certificate."""
    port = redis_process().port
    files = {"tls-cert-file": "server.crt", "tls-key-file": "server.key", "tls-ca-cert-file": "ca.crt"}
    options = [part for key, name in files.items() for part in (f"--{key}", str(certificates / name))]
    server = redis_process("--tls-port", str(port), *options, "--port", "0", port=port)
    names = {"--cacert": "ca.crt", "--cert": "server.crt", "--key": "server.key"}
    server.extra_cli = ("--tls", *(part for key, name in names.items() for part in (key, str(certificates / name))))
    await server.start()
    return server


@pytest.fixture
async def make_sink() -> AsyncIterator[Connect]:
    """Redis sinks that are closed when the test ends."""
    async with sinks() as make:
        yield make


@pytest.fixture
async def server(redis_process: RedisProcess) -> RedisServer:
    """A Redis of the test's own."""
    made = redis_process()
    await made.start()
    return made
