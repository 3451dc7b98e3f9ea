"""The Kafka sink against brokers that crash, or that let nobody in without TLS and a password."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from relay.core.sink import Checkpoint, Identity, Published, SinkUnavailable
from relay.sinks.kafka import Config
from relay.sinks.kafka.checkpoint import TOPIC_CONFIG
from relay.sinks.kafka.client import let_go, start
from relay.sinks.kafka.logins import connection_options
from relay.sinks.kafka.sink import KafkaSink
from tests.integration.test_kafka_sink import JOURNAL, Sinks, batch, entry
from tests.services.kafka import BrokerFactory, Kafka, KafkaBroker, kcat_read, secured


async def test_a_restarted_broker_is_picked_up(kafka_broker: BrokerFactory) -> None:
    """If this fails, a broker that was killed in mid-stream loses or doubles events once it is back."""
    broker = kafka_broker()
    await broker.start()
    config = Config(type="kafka", bootstrap_servers=broker.bootstrap, publish_timeout=2)
    sink = KafkaSink(config, Identity("relay-0", "first"))
    await sink.open()
    await sink.publish(batch(entry(1)))
    broker.kill()
    with pytest.raises(SinkUnavailable):
        await sink.publish(batch(entry(2)))
    await broker.start()
    assert await sink.open() == Checkpoint(JOURNAL, 1)
    await sink.publish(batch(entry(2)))
    await sink.close()
    records = await asyncio.to_thread(kcat_read, broker.bootstrap, "relay.tasks")
    assert sorted(str(record.headers["ce_id"]) for record in records) == ["1:succeeded", "2:succeeded"]


async def test_what_the_loss_of_a_broker_would_take_along_is_reported(kafka_broker: BrokerFactory) -> None:
    """If this fails, an operator learns when events are gone that nothing but one disk had them."""
    one, other = kafka_broker(), kafka_broker()
    other.join(one)
    await asyncio.gather(one.start(), other.start())
    assert await advised(one, "alone.", replication_factor=1) == ["not_replicated"]
    assert await advised(one, "both.", replication_factor=2) == ["acknowledged_by_one"]
    await change_topics(one, "both.", {"min.insync.replicas": "2"})
    assert await advised(one, "both.") == []
    await change_topics(one, "both.", {"min.insync.replicas": "2", "unclean.leader.election.enable": "true"})
    assert await advised(one, "both.") == ["unclean_election"]


async def test_added_partitions_are_reported(kafka: Kafka) -> None:
    """If this fails, subjects move to other partitions at such a change, and nobody learns why their order broke."""
    prefix = kafka.topic_prefix()
    assert await advised(kafka, prefix) == ["not_replicated"]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_partitions({f"{prefix}tasks": NewPartitions(4)})
    await admin.close()
    assert await advised(kafka, prefix) == ["not_replicated", "partitions_added"]
    assert await advised(kafka, prefix, partitions=4) == ["not_replicated"]


async def advised(broker: KafkaBroker | Kafka, prefix: str, **keys: int) -> list[str]:
    """The codes of what a sink advises whose topics have this prefix."""
    keys = {"partitions": 2, **keys}
    config = Config(type="kafka", bootstrap_servers=broker.bootstrap, prefix=prefix, **keys)
    sink = KafkaSink(config, Identity("relay-0", "first"))
    await sink.open()
    try:
        return [advice.code for advice in await sink.advice()]
    finally:
        await sink.close()


async def change_topics(broker: KafkaBroker, prefix: str, settings: dict[str, str]) -> None:
    """Gives all topics with this prefix these settings and no others, but for the checkpoint's."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(prefix)]
        of_checkpoint = {**TOPIC_CONFIG, **settings}
        wanted = {name: of_checkpoint if "checkpoint" in name else settings for name in names}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, *each) for each in wanted.items()])
    finally:
        await admin.close()


WORD = "s3cret-word"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"

Guarded = tuple[KafkaBroker, dict[str, str]]


@pytest.fixture
async def guarded(kafka_broker: BrokerFactory, tmp_path: Path) -> Guarded:
    """A broker with TLS, and beside it with a password, by PLAIN or SCRAM; and a sink's keys for both."""
    settings, cert = await asyncio.to_thread(secured, tmp_path / "tls", WORD)
    broker = kafka_broker(
        listeners={"TLS": "SSL", "AUTH": "SASL_SSL"},
        settings={
            **settings,
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.auth.scram-sha-512.sasl.jaas.config": SCRAM,
        },
    )
    await broker.start()
    return broker, {"security_protocol": "SASL_SSL", "ssl_cafile": str(cert), "sasl_plain_username": "relay"}


async def test_tls_and_sasl(guarded: Guarded) -> None:
    """If this fails, the relay cannot reach a secured Kafka, trusts any certificate, or gives away its password.

    Nor would its operator learn which of them it is: the client's library only logs that.
    """
    broker, keys = guarded
    tls = Sinks(broker.listener("TLS"), "tls.")
    assert await tls.make(security_protocol="SSL", ssl_cafile=keys["ssl_cafile"]).open() is None
    with pytest.raises(SinkUnavailable, match="its certificate is not trusted") as caught:
        await tls.make(security_protocol="SSL").open()
    assert caught.value.code == "tls_failed"

    sasl = Sinks(broker.listener("AUTH"), "sasl.")
    sink = sasl.make(**keys, sasl_plain_password=WORD)
    await sink.open()
    assert await sink.publish(batch(entry(1))) == [Published()]
    with pytest.raises(SinkUnavailable, match="Invalid username or password") as caught:
        await sasl.make(**keys, sasl_plain_password="wr0ng-word").open()
    assert caught.value.code == "authentication"
    assert "wr0ng-word" not in f"{caught.value} {caught.value.__cause__!r}"
    with pytest.raises(SinkUnavailable, match="UnsupportedSaslMechanism") as caught:
        await sasl.make(**keys, sasl_plain_password=WORD, sasl_mechanism="SCRAM-SHA-256").open()
    assert caught.value.code == "authentication"
    await tls.close()
    await sasl.close()


async def test_scram(guarded: Guarded) -> None:
    """If this fails, a Kafka whose users are its own, as most are, cannot be reached."""
    broker, keys = guarded
    user = ("--entity-type", "users", "--entity-name", "relay", "--add-config", f"SCRAM-SHA-512=[password={WORD}]")
    await asyncio.to_thread(
        broker.run, "kafka.admin.ConfigCommand", "--bootstrap-server", broker.bootstrap, "--alter", *user
    )
    sinks = Sinks(broker.listener("AUTH"), "scram.")
    sink = sinks.make(**keys, sasl_plain_password=WORD, sasl_mechanism="SCRAM-SHA-512")
    await sink.open()
    assert await sink.publish(batch(entry(1))) == [Published()]
    await sinks.close()


async def test_letting_go_waits_for_no_farewell(guarded: Guarded) -> None:
    """If this fails, opening a Kafka sink with TLS takes 30 s longer whenever a broker does not answer a goodbye.

    On uvloop that is often: https://github.com/MagicStack/uvloop/issues/471.
    """
    broker, keys = guarded
    config = Config(type="kafka", bootstrap_servers=broker.listener("AUTH"), **keys, sasl_plain_password=WORD)
    options = connection_options(config, "relay-0")
    admin = AIOKafkaAdminClient(**options)
    await start(admin, options)
    await admin.list_topics()
    broker.pause()
    async with asyncio.timeout(5):
        await let_go(admin._client, admin.close)


async def test_the_command_opens_it_on_its_own_loop(guarded: Guarded, tmp_path: Path) -> None:
    """If this fails, a secured Kafka works in tests but not under ``relay``, which uses uvloop."""
    broker, keys = guarded
    sink = {"type": "kafka", "bootstrap_servers": broker.listener("AUTH"), **keys, "sasl_plain_password": WORD}
    config = tmp_path / "relay.json"
    config.write_text(json.dumps({"sinks": [sink], "upstream": {"base_url": "http://127.0.0.1:9"}}))
    command = [sys.executable, "-m", "relay", "check", "--connect", "--json", "--config", str(config)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    reached = json.loads(done.stdout)["reached"]
    assert (reached[0]["name"], reached[0]["ok"], reached[0]["code"]) == ("sink kafka", True, None), done
