"""Fixtures of the fault tests: where to publish to, shared or the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.faults.harness.lost_replies import KafkaConversation, LossyProxy, RedisConversation
from tests.faults.harness.targets import KAFKA_VERSIONS, Target, on_kafka, on_redis
from tests.services.kafka import VERSION, BrokerFactory, Kafka, free_port, shared_kafka
from tests.services.redis import Redis, RedisProcess
from tests.services.tcp_proxy import TcpProxy

Shared = Callable[[str], Target]
Own = Callable[..., Awaitable[Target]]
Linked = Callable[..., Awaitable[tuple[Target, TcpProxy]]]
Proxied = Callable[[str], Awaitable[tuple[Target, LossyProxy]]]


@pytest.fixture
def shared(kafka: Kafka, redis_server: Redis) -> Shared:
    """A namespace of its own on servers that others use, too: ``shared("kafka")``."""

    def make(kind: str) -> Target:
        if kind == "redis":
            return on_redis(redis_server, redis_server.prefix())
        version = KAFKA_VERSIONS[kind]
        where = shared_kafka(version) if version else kafka
        return on_kafka(where, where.topic_prefix())

    return make


@pytest.fixture
def own(kafka_broker: BrokerFactory, redis_process: RedisProcess) -> Own:
    """A running server of the test's own, to be killed and paused: ``await own("redis", **configuration)``."""

    async def make(kind: str, **keys: object) -> Target:
        if kind == "redis":
            server = redis_process()
            await server.start()
            return on_redis(server.redis, "{relay}:", server, **keys)
        broker = kafka_broker(version=KAFKA_VERSIONS[kind] or VERSION)
        await broker.start()
        return on_kafka(Kafka(broker.bootstrap), "relay.", broker, **keys)

    return make


@pytest.fixture
async def proxied(kafka_broker: BrokerFactory, redis_process: RedisProcess) -> AsyncIterator[Proxied]:
    """A server of the test's own that the relay reaches through a proxy only; readers reach it directly."""
    proxies: list[LossyProxy] = []

    async def make(kind: str) -> tuple[Target, LossyProxy]:
        proxy = LossyProxy(RedisConversation if kind == "redis" else KafkaConversation)
        proxies.append(proxy)
        if kind == "redis":
            server = redis_process()
            await server.start()
            await proxy.forward_to(server.port)
            url = f"redis://127.0.0.1:{proxy.port}/0"
            return on_redis(server.redis, "{relay}:", server, url=url, socket_timeout="1500ms"), proxy
        broker = kafka_broker(listeners={"PROXIED": "PLAINTEXT"}, version=KAFKA_VERSIONS[kind] or VERSION)
        through = f"127.0.0.1:{proxy.port}"
        broker.settings = {"advertised.listeners": f"PLAINTEXT://{broker.bootstrap},PROXIED://{through}"}
        await broker.start()
        await proxy.forward_to(broker.ports["PROXIED"])
        keys = {"bootstrap_servers": through, "publish_timeout": "1500ms"}
        return on_kafka(Kafka(broker.bootstrap), "relay.", broker, **keys), proxy

    yield make
    for proxy in proxies:
        await proxy.close()


@pytest.fixture
def linked(kafka_broker: BrokerFactory, redis_process: RedisProcess) -> Linked:
    """A server behind a link of so many bytes a second: ``await linked("kafka", 100_000, **configuration)``.

    The link is down until the test enters it; readers reach the server directly.
    """

    async def make(kind: str, rate: float, **keys: object) -> tuple[Target, TcpProxy]:
        port = free_port()
        if kind == "redis":
            server = redis_process()
            await server.start()
            keys["url"] = f"redis://127.0.0.1:{port}/0"
            return on_redis(server.redis, "{relay}:", server, **keys), TcpProxy(server.port, port=port, rate=rate)
        broker = kafka_broker(listeners={"LINK": "PLAINTEXT"}, version=KAFKA_VERSIONS[kind] or VERSION)
        through = keys["bootstrap_servers"] = f"127.0.0.1:{port}"
        broker.settings = {"advertised.listeners": f"PLAINTEXT://{broker.bootstrap},LINK://{through}"}
        await broker.start()
        link = TcpProxy(broker.ports["LINK"], port=port, rate=rate)
        return on_kafka(Kafka(broker.bootstrap), "relay.", broker, **keys), link

    return make
