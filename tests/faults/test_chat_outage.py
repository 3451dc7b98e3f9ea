"""R14: Kafka or Redis is gone while people chat. They notice nothing, and the consumers get every end, once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.faults.harness.matrix import SEED, Effort, Row
from tests.faults.harness.streams import TERMINAL
from tests.faults.harness.targets import KAFKA_LATER
from tests.services.chat import chat_client
from tests.services.kafka import BrokerFactory, kcat_read
from tests.services.redis import RedisProcess, redis_cli_read
from tests.services.relay import RelayProcess

CLIENTS = 30
PACE = 0.05
LONGEST_GAP = 2.0
"""Seconds between two pieces of a stream: far above what is simulated, far below any outage here."""

Ends = list[tuple[str, str]]


@dataclass(slots=True)
class Broker:
    """One broker that can be taken away; ``read`` answers each event's subject and type, as its consumers see them."""

    server: Any
    sink: dict[str, Any]
    read: Callable[[], Awaitable[Ends]]


async def kafka_alone(kafka_broker: BrokerFactory) -> Broker:
    server = kafka_broker()
    await server.start()

    async def read() -> Ends:
        records = await asyncio.to_thread(kcat_read, server.bootstrap, "relay.chat", timeout=60)
        return [(record.headers["ce_subject"] or "", record.headers["ce_type"] or "") for record in records]

    return Broker(server, {"type": "kafka", "bootstrap_servers": server.bootstrap}, read)


async def redis_alone(redis_process: RedisProcess) -> Broker:
    server = redis_process()
    await server.start()

    async def read() -> Ends:
        entries = await asyncio.to_thread(redis_cli_read, server.url, "{relay}:chat")
        return [(fields["subject"].decode(), fields["type"].decode()) for _, fields in entries]

    return Broker(server, {"type": "redis", "url": server.url}, read)


@pytest.mark.row("R14", "broker gone under chats")
@pytest.mark.parametrize("kind", [KAFKA_LATER, "redis"])
async def test_a_broker_that_is_gone_is_noticed_by_nobody_who_chats(
    kind: str, kafka_broker: BrokerFactory, redis_process: RedisProcess, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P6: a broker that is down would delay or break streams, or an ending would be lost or published twice."""
    outage = effort(short=5, full=60, long=60)
    broker = await (kafka_alone(kafka_broker) if kind == "kafka" else redis_alone(redis_process))
    async with Simulator(Options(seed=SEED)) as simulator:
        relay = RelayProcess(tmp_path / "relay", sinks=[broker.sink], upstream={"base_url": simulator.url})
        await relay.start()
        over = asyncio.Event()
        chatting = [asyncio.create_task(chat_until(relay, over)) for _ in range(CLIENTS)]
        await asyncio.sleep(1.0)
        broker.server.kill()
        await asyncio.sleep(outage)
        await broker.server.start()
        over.set()
        chats = [chat for chats in await asyncio.gather(*chatting) for chat in chats]
        await relay.until_drained(within=90)
        events = await broker.read()
        assert await relay.stop() == 0
    ends = Counter(subject for subject, type_ in events if type_ in TERMINAL)
    row.load = f"{CLIENTS} clients"
    row.injected(f"kill -9 of the broker, {outage} s")
    lost = [chat.chat_id for chat in chats if not ends[chat.chat_id]]
    repeated = [chat_id for chat_id, count in ends.items() if count > 1]
    row.counted(acknowledged=len(chats), lost=len(lost), repeated=len(repeated))
    row.notes.append(f"longest gap within a stream {max(chat.gap for chat in chats):.2f} s")
    assert len(chats) > CLIENTS * 2
    assert all(chat.whole for chat in chats)
    assert max(chat.gap for chat in chats) < LONGEST_GAP
    assert (lost, repeated) == ([], [])
    assert {type_ for _, type_ in events} == {"relay.chat.started", "relay.chat.completed"}


@dataclass(slots=True)
class Chatted:
    """One chat as its client saw it; ``gap``: the longest time without a piece, in seconds."""

    chat_id: str
    whole: bool
    gap: float


async def chat_until(relay: RelayProcess, over: asyncio.Event) -> list[Chatted]:
    """One client's chats, one after the other."""
    chats = []
    while not over.is_set():
        chats.append(await chat(relay))
    return chats


async def chat(relay: RelayProcess) -> Chatted:
    async with chat_client(relay.url) as client:
        before, gap = time.monotonic(), 0.0
        await client.ask({"X-Simulate": f"chunks=20, pace={PACE * 1000:.0f}ms"})
        await client.head()
        async for _ in client.pieces():
            now = time.monotonic()
            before, gap = now, max(gap, now - before)
        return Chatted(client.chat_id, client.body.endswith(b"data: [DONE]\n\n"), gap)
