"""The Kafka sink against brokers that crash, or that let nobody in without TLS and a password."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from relay.core.sink import Checkpoint, Identity, Published, SinkUnavailable
from relay.sinks.kafka import Config, KafkaSink
from tests.integration.test_kafka_sink import JOURNAL, Sinks, batch, entry
from tests.services.kafka import BrokerFactory, executable, kcat_read


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


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key store for the broker and the certificate that clients trust, both made by keytool."""
    store, pem = folder / "broker.p12", folder / "broker.pem"
    common = ["-alias", "broker", "-keystore", str(store), "-storetype", "PKCS12", "-storepass", "changeit"]
    name = ["-dname", "CN=localhost", "-ext", "san=ip:127.0.0.1", "-keyalg", "RSA"]
    for command in (["-genkeypair", *name], ["-exportcert", "-rfc", "-file", str(pem)]):
        subprocess.run([executable("keytool"), *command, *common], check=True, capture_output=True, timeout=30)
    return store, pem


async def test_tls_and_sasl(kafka_broker: BrokerFactory, tmp_path: Path) -> None:
    """If this fails, the relay cannot reach a secured Kafka, trusts any certificate, or tells its password."""
    store, pem = await asyncio.to_thread(certificate, tmp_path)
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required user_relay='s3cret-word';"
    broker = kafka_broker(
        listeners={"TLS": "SSL", "AUTH": "SASL_SSL"},
        settings={
            "ssl.keystore.location": str(store),
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.password": "changeit",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.auth.plain.sasl.jaas.config": login,
        },
    )
    await broker.start()
    tls = Sinks(broker.listener("TLS"), "tls.")
    assert await tls.make(security_protocol="SSL", ssl_cafile=str(pem)).open() is None
    with pytest.raises(SinkUnavailable):
        await tls.make(security_protocol="SSL").open()

    sasl = Sinks(broker.listener("AUTH"), "sasl.")
    secured = {"security_protocol": "SASL_SSL", "ssl_cafile": str(pem), "sasl_plain_username": "relay"}
    sink = sasl.make(**secured, sasl_plain_password="s3cret-word")
    await sink.open()
    assert await sink.publish(batch(entry(1))) == [Published()]
    with pytest.raises(SinkUnavailable) as caught:
        await sasl.make(**secured, sasl_plain_password="wr0ng-word").open()
    assert "wr0ng-word" not in f"{caught.value} {caught.value.__cause__!r}"
    await tls.close()
    await sasl.close()
