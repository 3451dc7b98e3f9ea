"""What a Kafka that refuses says to the operator: whose rights are missing, which port it is, what became of the
producer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from relay.core.sink import Checkpoint, Published, SinkUnavailable
from relay.sinks.kafka.sink import KafkaSink
from tests.integration.test_kafka_sink import JOURNAL, Sinks, batch, entry
from tests.services.kafka import BrokerFactory, Kafka, KafkaBroker, secured

WORD = "s3cret-word"


async def test_an_idle_producer_that_kafka_forgot_is_reported_and_replaced(kafka_broker: BrokerFactory) -> None:
    """If this fails, a relay that was idle for a week says nothing that an operator understands, or does not go on."""
    expiring = {"transactional.id.expiration.ms": "500"}
    often = {"transaction.remove.expired.transaction.cleanup.interval.ms": "200"}
    broker = kafka_broker(settings=expiring | often)
    await broker.start()
    sinks = Sinks(broker.bootstrap, "relay.")
    sink = sinks.make()
    assert await opened_and_published(sink, 1) is None
    async with asyncio.timeout(30):
        while "relay.relay-0.kafka" in await asyncio.to_thread(listed, broker):
            await asyncio.sleep(0.2)
    with pytest.raises(SinkUnavailable) as caught:
        await sink.publish(batch(entry(2)))
    assert caught.value.code == "producer_lost"
    assert "InvalidProducerIdMapping" in caught.value.message
    assert await opened_and_published(sink, 2) == Checkpoint(JOURNAL, 1)
    await sinks.close()


async def opened_and_published(sink: KafkaSink, number: int) -> Checkpoint | None:
    """One event, and the checkpoint before it. On a busy machine the broker forgets the producer between the two."""
    async with asyncio.timeout(60):
        while True:
            held = await sink.open()
            try:
                assert await sink.publish(batch(entry(number))) == [Published()]
            except SinkUnavailable as error:
                if error.code != "producer_lost":
                    raise
            else:
                return held


def listed(broker: KafkaBroker) -> str:
    """The transactional ids that the broker remembers."""
    return broker.run("org.apache.kafka.tools.TransactionsCommand", "--bootstrap-server", broker.bootstrap, "list")


async def test_a_right_that_is_missing_is_named_with_what_it_is_missing_on(
    kafka_broker: BrokerFactory, tmp_path: Path
) -> None:
    """If this fails, an operator learns that something is forbidden, and has to guess on which topic or id."""
    settings, cert = await asyncio.to_thread(secured, tmp_path / "tls", WORD)
    rules = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # everyone who uses the other listener
    }
    broker = kafka_broker(listeners={"AUTH": "SASL_SSL"}, settings=settings | rules)
    await broker.start()
    sinks = Sinks(broker.listener("AUTH"), "relay.")
    keys = {"security_protocol": "SASL_SSL", "ssl_cafile": str(cert), "sasl_plain_username": "relay"}
    sink = sinks.make(**keys, sasl_plain_password=WORD)

    async def refused() -> str:
        with pytest.raises(SinkUnavailable) as caught:
            await sink.open()
            await sink.publish(batch(entry(1)))
        assert caught.value.code == "authorization"
        return caught.value.message

    denied = await refused()
    assert "relay.tasks" in denied
    assert "(User:relay, logged in by PLAIN)" in denied
    operations = ("Read", "Describe", "DescribeConfigs", "Create")
    await allow(broker, "--resource-pattern-type", "prefixed", "--topic", "relay.", *each("--operation", operations))
    denied = await refused()
    assert "transactional id relay.relay-0.kafka (User:relay, logged in by PLAIN)" in denied
    of_id = ("--resource-pattern-type", "prefixed", "--transactional-id", "relay.")
    await allow(broker, *of_id, *each("--operation", ("Write", "Describe")))
    assert "topic relay.checkpoint.relay-0" in await refused()
    await allow(broker, "--topic", "relay.checkpoint.relay-0", "--operation", "Write")
    assert "topic relay.tasks" in await refused()
    await allow(broker, "--topic", "relay.tasks", "--operation", "Write")
    await sink.open()
    assert await sink.publish(batch(entry(1))) == [Published()]
    await sinks.close()


def each(option: str, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for value in values for word in (option, value))


async def allow(broker: KafkaBroker, *rule: str) -> None:
    command = ("org.apache.kafka.tools.AclCommand", "--bootstrap-server", broker.bootstrap, "--add")
    await asyncio.to_thread(broker.run, *command, "--allow-principal", "User:relay", *rule)


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
async def test_a_port_without_tls_is_reported(protocol: str, kafka: Kafka) -> None:
    """If this fails, a security_protocol that does not fit the port looks like a broker that is down."""
    login = {"sasl_plain_username": "relay", "sasl_plain_password": WORD} if protocol == "SASL_SSL" else {}
    with pytest.raises(SinkUnavailable) as caught:
        await Sinks(kafka.bootstrap, "relay.").make(security_protocol=protocol, **login).open()
    assert (caught.value.code, "security_protocol" in caught.value.hint) == ("tls_failed", True), caught.value
