"""R32: a request of a transaction that was given up reaches the broker in the middle of a later one (KIP-890)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.faults.harness.late_requests import LateProxy
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.targets import KAFKA_VERSIONS, Target, on_kafka
from tests.faults.harness.trial import Trial
from tests.services.kafka import VERSION, BrokerFactory, Kafka

RATE = 50
FENCED = {47: "INVALID_PRODUCER_EPOCH", 90: "PRODUCER_FENCED"}
"""How brokers refuse what a producer sends after InitProducerId gave its id a newer epoch."""


@pytest.fixture
async def behind(kafka_broker: BrokerFactory) -> AsyncIterator[Callable[[str], Awaitable[tuple[Target, LateProxy]]]]:
    """A Kafka of the test's own that the relay reaches through a ``LateProxy`` only."""
    async with LateProxy() as proxy:

        async def make(kind: str) -> tuple[Target, LateProxy]:
            broker = kafka_broker(listeners={"PROXIED": "PLAINTEXT"}, version=KAFKA_VERSIONS[kind] or VERSION)
            through = f"127.0.0.1:{proxy.port}"
            broker.settings = {"advertised.listeners": f"PLAINTEXT://{broker.bootstrap},PROXIED://{through}"}
            await broker.start()
            proxy.target_port = broker.ports["PROXIED"]
            keys = {"bootstrap_servers": through, "publish_timeout": "1500ms"}
            return on_kafka(Kafka(broker.bootstrap), "relay.", broker, **keys), proxy

        yield make


@pytest.mark.row("R32", "late requests of a transaction given up")
@pytest.mark.parametrize("kind", ["kafka", pytest.param("kafka-3.9", marks=pytest.mark.long)])
async def test_a_late_request_of_a_transaction_given_up_changes_nothing(
    kind: str,
    behind: Callable[[str], Awaitable[tuple[Target, LateProxy]]],
    tmp_path: Path,
    row: Row,
    effort: Effort,
) -> None:
    """Broken: P2 where brokers cannot distinguish the transactions of one epoch: a late Produce would be committed with
    the next transaction, and a late EndTxn would commit a half of it."""
    target, proxy = await behind(kind)
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        await trial.published()
        for n in range(effort(short=1, full=5)):
            for request in ("Produce", "EndTxn"):
                await proxy.hold(request)
                trial.injected(f"{request} held")
                await trial.published(10)
                before = ("Produce", "EndTxn")[n % 2]
                error = await proxy.deliver(before)
                trial.injected(f"delivered before a later {before}")
                row.notes.append(f"late {request} before {before}: {FENCED.get(error, error)}")
                assert error in FENCED
        await trial.conclude()
