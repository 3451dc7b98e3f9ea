"""The Kafka sink against a real broker, read back by kcat; one test per trap of aiokafka's transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from relay.core.event import Entry, Event
from relay.core.sink import (
    Batch,
    Checkpoint,
    Identity,
    Outcome,
    Published,
    Refused,
    SinkFenced,
    SinkUnavailable,
    Withheld,
)
from relay.sinks.kafka import Config, checkpoint
from relay.sinks.kafka.checkpoint import Ledger, topic_name
from relay.sinks.kafka.checkpoint import _read as read_span
from relay.sinks.kafka.records import murmur2, partition_of
from relay.sinks.kafka.sink import KafkaSink
from tests.services.kafka import Kafka, KafkaBroker, Record, kcat_read, running_broker

JOURNAL = "journal-1"
AT_MOST = 60.0
"""Seconds within which a busy machine gets what one second bounds; without a bound it would take ``FOR_LONG``."""
FOR_LONG = {"transaction_timeout": 600, "request_timeout": 600}


def entry(offset: int, *, subject: str | None = None, size: int = 20, topic: str = "tasks") -> Entry:
    event = Event(
        topic=topic,
        type="relay.task.succeeded",
        id=f"{offset}:succeeded",
        source="https://api.novita.ai/webhook/task-result",
        subject=subject or f"task-{offset}",
        time="2026-01-01T00:00:00Z",
        data=b'"' + b"x" * (size - 2) + b'"',
        dataschema="https://relay.test/schemas/relay.task.succeeded.json",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    return Entry(offset, 1_767_225_600_000, event)


def batch(*entries: Entry, offset: int | None = None) -> Batch:
    return Batch(entries, Checkpoint(JOURNAL, entries[-1].offset if offset is None else offset))


class Sinks:
    """Makes sinks in one namespace and closes them in the end."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap, self.prefix = bootstrap, prefix
        self._made: list[KafkaSink] = []

    def make(self, instance: str = "first", **settings: Any) -> KafkaSink:
        keys = {"bootstrap_servers": self.bootstrap, "prefix": self.prefix, "partitions": 3, **settings}
        sink = KafkaSink(Config(type="kafka", **keys), Identity("relay-0", instance))
        self._made.append(sink)
        return sink

    async def read(self, topic: str) -> list[Record]:
        return await asyncio.to_thread(kcat_read, self.bootstrap, self.prefix + topic)

    async def ids(self, topic: str = "tasks") -> list[str]:
        return sorted(str(record.headers["ce_id"]) for record in await self.read(topic))

    async def create(self, name: str, partitions: int = 1, **configs: str) -> None:
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(self.prefix + name, partitions, 1, topic_configs=settings)])
        async with asyncio.timeout(20):
            # The answer comes from the controller; the broker may not know of it yet.
            while (held := await self._settings(admin, name)) is None or not settings.items() <= held.items():
                await asyncio.sleep(0.02)
        await admin.close()

    async def _settings(self, admin: AIOKafkaAdminClient, name: str) -> dict[str, str] | None:
        """The topic's settings as the broker has them now; ``None``: it does not know the topic."""
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, self.prefix + name)])
        found = [resource[4] for answer in answers for resource in answer.resources if resource[0] == 0]
        return {entry[0]: entry[1] for entry in found[0]} if found else None

    async def delete(self, name: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await admin.delete_topics([self.prefix + name])
        while self.prefix + name in await admin.list_topics():
            await asyncio.sleep(0.02)
        await admin.close()

    async def close(self) -> None:
        for sink in self._made:
            await sink.close()


@pytest.fixture
async def sinks(kafka: Kafka) -> AsyncIterator[Sinks]:
    made = Sinks(kafka.bootstrap, kafka.topic_prefix())
    yield made
    await made.close()


@pytest.fixture(scope="module")
def own_broker() -> Iterator[KafkaBroker]:
    """A broker that the tests of this file may stop and go on."""
    with running_broker() as broker:
        yield broker


@pytest.fixture
async def stoppable(own_broker: KafkaBroker) -> AsyncIterator[tuple[Sinks, KafkaBroker]]:
    made = Sinks(own_broker.bootstrap, Kafka(own_broker.bootstrap).topic_prefix())
    yield made, own_broker
    own_broker.resume()
    await made.close()


async def test_events_follow_the_contract(sinks: Sinks) -> None:
    """If this fails, consumers find other headers, keys or values than the contract promises."""
    sink = sinks.make()
    await sink.open()
    assert await sink.publish(batch(entry(1, subject="täsk"), entry(2, topic="chat"))) == [Published()] * 2
    (record,) = await sinks.read("tasks")
    assert record.key == "täsk".encode()
    assert record.value == entry(1).event.data
    assert record.partition == partition_of(*murmur2(["täsk".encode()]), 3)
    assert record.headers == {
        "ce_specversion": "1.0",
        "ce_id": "1:succeeded",
        "ce_source": "https://api.novita.ai/webhook/task-result",
        "ce_type": "relay.task.succeeded",
        "ce_subject": "täsk",
        "ce_time": "2026-01-01T00:00:00Z",
        "ce_dataschema": "https://relay.test/schemas/relay.task.succeeded.json",
        "ce_traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "content-type": "application/json",
    }
    assert await sinks.ids("chat") == ["2:succeeded"]


async def test_structured_mode_puts_the_event_into_the_value(sinks: Sinks) -> None:
    """If this fails, content_mode: structured does not give a CloudEvents JSON document."""
    sink = sinks.make(content_mode="structured")
    await sink.open()
    await sink.publish(batch(entry(1)))
    (record,) = await sinks.read("tasks")
    assert record.headers == {"content-type": "application/cloudevents+json; charset=UTF-8"}
    assert record.value is not None
    assert record.value.startswith(b'{"specversion":"1.0","id":"1:succeeded"')
    assert record.value.endswith(b'"data":' + entry(1).event.data + b"}")


async def test_order_of_a_subject_survives_batches_of_many_requests(sinks: Sinks) -> None:
    """If this fails, a batch larger than one request reorders or loses events."""
    sink = sinks.make(max_request_size=4096)
    await sink.open()
    entries = [entry(n, subject="one", size=900) for n in range(1, 41)]
    assert set(await sink.publish(batch(*entries))) == {Published()}
    seen = [record.headers["ce_id"] for record in await sinks.read("tasks")]
    assert seen == [e.event.id for e in entries]


async def test_the_checkpoint_survives(sinks: Sinks) -> None:
    """If this fails, a restart of the relay repeats or skips events."""
    sink = sinks.make()
    assert await sink.open() is None
    await sink.publish(batch(entry(7)))
    await sink.publish(batch(offset=9))
    await sink.close()
    assert await sink.open() == Checkpoint(JOURNAL, 9)
    await sink.close()
    assert await sinks.make("second").open() == Checkpoint(JOURNAL, 9)
    assert await sinks.ids() == ["7:succeeded"]


async def test_too_large_for_a_request_is_refused_before_anything_is_sent(sinks: Sinks) -> None:
    """If this fails, one oversized event takes its neighbours along, or the sink does not go on after it."""
    sink = sinks.make(max_request_size=4096)
    await sink.open()
    refused, withheld = await sink.publish(batch(entry(1, size=5000), entry(2)))
    assert isinstance(refused, Refused)
    assert refused.code == "record_too_large"
    assert withheld == Withheld()
    assert await sink.publish(batch(entry(2))) == [Published()]
    assert await sinks.ids() == ["2:succeeded"]


def suspects(outcomes: Sequence[Outcome]) -> list[bool]:
    return [isinstance(outcome, Withheld) and outcome.suspect for outcome in outcomes]


async def test_trap_a_and_b_a_record_that_the_broker_refuses(sinks: Sinks) -> None:
    """If this fails, an event refused by the broker is lost silently, or everything behind it is stuck."""
    await sinks.create("tasks", max_message_bytes="3000")
    sink = sinks.make()
    await sink.open()
    await sink.publish(batch(entry(1)))
    outcomes = await sink.publish(batch(entry(2), entry(3, size=5000), entry(4, topic="chat")))
    assert suspects(outcomes) == [True, True, False]
    assert Published() not in outcomes
    assert await sinks.ids("chat") == []
    assert await sinks.make("observer").open() == Checkpoint(JOURNAL, 1)

    sink = sinks.make("after")
    await sink.open()
    assert suspects(await sink.publish(batch(entry(2), entry(3, size=5000)))) == [True, True]
    assert await sink.publish(batch(entry(2))) == [Published()]
    (alone,) = await sink.publish(batch(entry(3, size=5000)))
    assert isinstance(alone, Refused)
    assert await sink.publish(batch(entry(4, topic="chat"))) == [Published()]
    assert await sinks.ids() == ["1:succeeded", "2:succeeded"]
    assert await sinks.ids("chat") == ["4:succeeded"]


async def test_batches_adapt_to_what_a_topic_takes(sinks: Sinks) -> None:
    """If this fails, a topic with a small max.message.bytes takes its events one at a time forever."""
    await sinks.create("tasks", max_message_bytes="40000")
    sink = sinks.make()
    await sink.open()
    entries = [entry(n, size=1000) for n in range(1, 61)]
    attempts = 1
    while set(await sink.publish(batch(*entries))) != {Published()}:
        attempts += 1
    assert attempts <= 3
    assert len(await sinks.ids()) == 60


async def test_trap_d_publish_is_bounded_while_the_broker_hangs(stoppable: tuple[Sinks, KafkaBroker]) -> None:
    """If this fails, a hanging broker hangs the publisher, or its late answer doubles the events."""
    sinks, broker = stoppable
    sink = sinks.make(publish_timeout=1, close_timeout=1, **FOR_LONG)
    await sink.open()
    await sink.publish(batch(entry(1)))
    broker.pause()
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(SinkUnavailable) as caught:
            await sink.publish(batch(entry(2)))
    assert caught.value.code == "timeout"
    broker.resume()
    assert await sink.open() == Checkpoint(JOURNAL, 1)
    assert await sink.publish(batch(entry(2))) == [Published()]
    assert await sinks.ids() == ["1:succeeded", "2:succeeded"]


async def test_trap_c_close_is_bounded_while_the_broker_hangs(stoppable: tuple[Sinks, KafkaBroker]) -> None:
    """If this fails, the relay cannot be stopped while Kafka is away, or leaves tasks behind."""
    sinks, broker = stoppable
    before = asyncio.all_tasks()
    sink = sinks.make(close_timeout=1, **FOR_LONG)
    await sink.open()
    broker.pause()
    publishing = asyncio.create_task(sink.publish(batch(entry(1))))
    await asyncio.sleep(0)
    publishing.cancel()
    async with asyncio.timeout(AT_MOST):
        await asyncio.wait([publishing])
        with pytest.raises(SinkUnavailable, match="not open"):
            await sink.publish(batch(entry(1)))
        await sink.close()
    assert publishing.cancelled()
    assert asyncio.all_tasks() == before


async def test_open_is_bounded_while_the_broker_hangs(stoppable: tuple[Sinks, KafkaBroker]) -> None:
    """If this fails, start-up hangs for as long as Kafka does."""
    sinks, broker = stoppable
    broker.pause()
    async with asyncio.timeout(AT_MOST):
        with pytest.raises(SinkUnavailable) as caught:
            await sinks.make(open_timeout=1, **FOR_LONG).open()
    assert caught.value.code == "timeout"


async def test_open_says_that_nobody_is_there(sinks: Sinks) -> None:
    """If this fails, a wrong address is reported as something else."""
    with pytest.raises(SinkUnavailable) as caught:
        await sinks.make(bootstrap_servers="127.0.0.1:1").open()
    assert caught.value.code == "unreachable"
    assert "bootstrap_servers" in caught.value.hint


async def test_a_lost_connection_ends_the_producer_after_the_commit(stoppable: tuple[Sinks, KafkaBroker]) -> None:
    """If this fails, a request delayed on a lost connection may land in a later transaction of the same epoch."""
    sinks, broker = stoppable
    sink = sinks.make()
    await sink.open()
    await sink.publish(batch(entry(1)))
    session = sink._session
    assert session is not None
    broker.pause()
    publishing = asyncio.create_task(sink.publish(batch(entry(2))))
    connections = session.producer.client._conns
    async with asyncio.timeout(5):
        while not any(connection._requests for connection in connections.values()):
            await asyncio.sleep(0.01)
    for connection in list(connections.values()):
        connection._writer.transport.abort()
    broker.resume()
    assert await publishing == [Published()]
    assert await sink.publish(batch(entry(3))) == [Published()]
    assert sink._session is not session
    assert await sinks.ids() == [f"{n}:succeeded" for n in (1, 2, 3)]


async def test_trap_f_what_a_dead_relay_left_open_is_settled_before_the_checkpoint_is_read(sinks: Sinks) -> None:
    """If this fails, a restart reads a stale checkpoint, or waits for the dead relay's transaction to time out."""
    sink = sinks.make()
    await sink.open()
    await sink.publish(batch(entry(1)))
    await sink.close()
    # It would hold up the reader for ten minutes, and opening may take half a one.
    lasting = {"transactional_id": sink._transactional_id, "transaction_timeout_ms": 600_000}
    dead = AIOKafkaProducer(bootstrap_servers=sinks.bootstrap, **lasting)
    await dead.start()
    await dead.begin_transaction()
    key, value = sink._ledger.checkpoint_record(Checkpoint(JOURNAL, 2))
    await dead.send_and_wait(sink._ledger.topic, value, key)
    await dead.send_and_wait(sinks.prefix + "tasks", b"{}", b"task-2", headers=[("ce_id", b"2:torn")])
    successor = sinks.make("second")
    assert await successor.open() == Checkpoint(JOURNAL, 1)
    assert await successor.publish(batch(entry(2))) == [Published()]
    assert await sinks.ids() == ["1:succeeded", "2:succeeded"]
    dead._closed = True
    await dead._sender.close()
    await dead.client.close()


async def test_trap_f_a_commit_at_the_last_moment_is_not_missed(sinks: Sinks, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, what a predecessor committed until it was fenced is published again."""
    old, new = sinks.make("old"), sinks.make("new")
    await old.open()
    await old.publish(batch(entry(1)))
    fence = AIOKafkaProducer.start

    async def late(producer: Any) -> None:
        monkeypatch.undo()
        await old.publish(batch(entry(2)))
        await fence(producer)

    monkeypatch.setattr(AIOKafkaProducer, "start", late)
    assert await new.open() == Checkpoint(JOURNAL, 2)


async def test_a_zombie_is_fenced_and_leaves_its_successor_alone(sinks: Sinks) -> None:
    """If this fails, two relays of one identity double events, or the old one throws the new one out."""
    old, new = sinks.make("old"), sinks.make("new")
    await old.open()
    await old.publish(batch(entry(1)))
    assert await new.open() == Checkpoint(JOURNAL, 1)
    with pytest.raises(SinkUnavailable) as caught:
        await old.publish(batch(entry(2)))
    assert caught.value.code == "fenced"
    with pytest.raises(SinkFenced):
        await old.open()
    assert await new.publish(batch(entry(2))) == [Published()]
    with pytest.raises(SinkFenced):
        await old.open()
    assert await sinks.ids() == ["1:succeeded", "2:succeeded"]


async def test_a_zombie_that_comes_in_between_gives_way(sinks: Sinks) -> None:
    """If this fails, a zombie that fenced its successor by a narrow race goes on instead of the successor."""
    old, new = sinks.make("old"), sinks.make("new")
    await old.open()
    await new.open()
    check = old._check_owner
    answers = iter([lambda owner: None, check])
    old._check_owner = lambda owner: next(answers)(owner)  # type: ignore[method-assign]
    with pytest.raises(SinkFenced):  # it had looked just before the successor claimed the identity
        await old.open()
    old._check_owner = check  # type: ignore[method-assign]
    with pytest.raises(SinkUnavailable):
        await new.publish(batch(entry(1)))
    assert await new.open() is None
    assert await new.publish(batch(entry(1))) == [Published()]
    with pytest.raises(SinkFenced):
        await old.open()


async def test_a_fenced_owner_goes_on(sinks: Sinks) -> None:
    """If this fails, a relay whose transaction the broker timed out takes itself for a zombie."""
    sink = sinks.make()
    await sink.open()
    rival = AIOKafkaProducer(bootstrap_servers=sinks.bootstrap, transactional_id=sink._transactional_id)
    await rival.start()
    await rival.stop()
    with pytest.raises(SinkUnavailable):
        await sink.publish(batch(entry(1)))
    assert await sink.open() is None
    assert await sink.publish(batch(entry(1))) == [Published()]


async def test_a_dead_sender_is_noticed(sinks: Sinks) -> None:
    """If this fails, publishing waits for a task that is no longer there."""
    sink = sinks.make()
    await sink.open()
    assert sink._session is not None
    await sink._session.producer._sender.close()
    with pytest.raises(SinkUnavailable):
        await sink.publish(batch(entry(1)))
    assert await sink.open() is None


async def test_publish_without_open_is_refused(sinks: Sinks) -> None:
    """If this fails, a batch of unknown fate is followed by another one before the checkpoint was read again."""
    with pytest.raises(SinkUnavailable) as caught:
        await sinks.make().publish(batch(entry(1)))
    assert caught.value.code == "not_open"


async def test_missing_topics_are_named_and_not_created(sinks: Sinks) -> None:
    """If this fails, create_topics: false creates topics by the broker's defaults, or does not say what is missing."""
    sink = sinks.make(create_topics=False)
    for _ in range(2):
        with pytest.raises(SinkUnavailable) as caught:
            await sink.open()
        assert caught.value.code == "topics_missing"
        for name in ("tasks", "chat", "chat-chunks", "outputs", "dead-letters", "checkpoint.relay-0"):
            assert sinks.prefix + name in caught.value.message
        assert "create_topics" in caught.value.hint
    await sinks.make().open()
    assert await sink.open() is None


async def test_a_checkpoint_topic_that_forgets_is_refused(sinks: Sinks) -> None:
    """If this fails, retention deletes the checkpoint and the whole journal is published again."""
    await sinks.create("checkpoint.relay-0", cleanup_policy="delete")
    with pytest.raises(SinkUnavailable) as caught:
        await sinks.make().open()
    assert caught.value.code == "topic_not_compacted"


async def test_what_kafka_lost_shows_by_its_checkpoint_only(sinks: Sinks) -> None:
    """If this fails, the guarantees are wrong about a Kafka that loses acknowledged events."""
    first = sinks.make()
    await first.open()
    await first.publish(batch(entry(1)))
    await first.close()
    await sinks.delete("tasks")
    assert await sinks.make().open() == Checkpoint(JOURNAL, 1), "nothing shows that the event is gone"
    await sinks.delete("checkpoint.relay-0")
    assert await sinks.make().open() is None, "everything that is retained comes again"


async def test_the_checkpoint_is_found_behind_thousands_of_records(
    sinks: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, start-up misses the newest checkpoint when it is not among the last records, or reads for long."""
    first = sinks.make()
    await first.open()
    ledger = first._ledger
    await first.close()
    other = Ledger(ledger.topic, ledger.identity, "other")
    read: list[tuple[int, int]] = []

    async def noted(consumer: Any, partition: Any, start: int, stop: int) -> Any:
        read.append((start, stop))
        return await read_span(consumer, partition, start, stop)

    monkeypatch.setattr(checkpoint, "_read", noted)
    async with AIOKafkaProducer(bootstrap_servers=sinks.bootstrap, linger_ms=20) as producer:
        for writer, spans in ((ledger, 1), (other, 3)):
            for offset in range(5000):
                key, value = writer.checkpoint_record(Checkpoint(JOURNAL, offset))
                await producer.send(ledger.topic, value, key)
            await producer.flush()
            read.clear()
            assert await sinks.make(f"after-{writer.label}").open() == Checkpoint(JOURNAL, 4999)
            assert len(read) == spans
            assert [stop for _, stop in read[1:]] == [start for start, _ in read[:-1]], "a record is read twice"


async def test_checkpoints_of_identities_are_apart(sinks: Sinks) -> None:
    """If this fails, replicas overwrite each other's checkpoints or fence each other."""
    mine = sinks.make()
    await mine.open()
    other = KafkaSink(mine._config, Identity("relay-1", "first"))
    assert await other.open() is None
    await other.publish(batch(entry(5)))
    await other.close()
    assert await mine.publish(batch(entry(1))) == [Published()]
    assert topic_name(sinks.prefix, Identity("relay-1", "x")) == sinks.prefix + "checkpoint.relay-1"
