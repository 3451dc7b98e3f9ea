"""The parts of the Kafka sink that decide without a broker."""

from __future__ import annotations

import asyncio
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka
from aiokafka.conn import AIOKafkaConnection
from aiokafka.partitioner import murmur2 as reference
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.event import Entry, Event
from relay.core.sink import Checkpoint, Identity, SinkUnavailable
from relay.sinks.kafka import Config
from relay.sinks.kafka.checkpoint import Found, Ledger, spans, topic_name
from relay.sinks.kafka.client import Session, start
from relay.sinks.kafka.errors import unavailable
from relay.sinks.kafka.logins import Login, connection_options
from relay.sinks.kafka.records import Packer, murmur2, partition_of, render_binary

LEDGER = Ledger("relay.checkpoint.relay-0", Identity("relay-0", "mine"), "kafka")


def test_the_checkpoint_topic_keeps_its_name() -> None:
    """P2 broken: a later release would look for its checkpoint elsewhere, and publish everything again."""
    assert topic_name("relay.", Identity("a/\u00fc b", "x")) == "relay.checkpoint.a---b"
    longest = Identity("x" * (249 - len("relay.checkpoint.")), "x")
    assert topic_name("relay.", longest) == f"relay.checkpoint.{longest.name}"
    long = topic_name("relay.", Identity("i/" * 150, "x"))
    assert (len(long), long[-20:]) == (249, "i-i-68627a1494db7b91")


@given(st.lists(st.binary(max_size=200) | st.binary(min_size=36, max_size=37), max_size=20))
def test_murmur2_is_that_of_kafka(keys: list[bytes]) -> None:
    """If this fails, events land on other partitions than Kafka's own clients would choose."""
    assert murmur2(keys) == [reference(key) & 0xFFFFFFFF for key in keys]


def test_neighbours_do_not_change_each_others_hash() -> None:
    """If this fails, the partition of a subject depends on what is published beside it, and its order is lost (P3)."""
    keys = [bytes([fill]) * length for length in range(13) for fill in (0xFF, 0, 0xFF, 0x80, 1)]
    assert murmur2(keys) == [reference(key) & 0xFFFFFFFF for key in keys]


def test_partition_of_known_keys() -> None:
    """If this fails, the partitioner drifted from Java's: values of org.apache.kafka UtilsTest.testMurmur2."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
    for key, value in known.items():
        assert murmur2([key]) == [value & 0xFFFFFFFF]
        assert partition_of(value & 0xFFFFFFFF, 12) == (value & 0x7FFFFFFF) % 12


def entry(offset: int, size: int, subject: str) -> Entry:
    data = b'"' + b"x" * (size - 2) + b'"'
    return Entry(offset, 0, Event("tasks", "t", f"id-{offset}", "s", subject, "2026-01-01T00:00:00Z", data))


def packer(limit: int, partitions: int = 3) -> Packer:
    return Packer({"tasks": "p.tasks"}, {"tasks": partitions}, render_binary, lambda: BatchBuilder(limit, 0), limit)


@given(st.lists(st.tuples(st.integers(2, 600), st.sampled_from("abcdef")), max_size=40))
def test_packing_loses_and_reorders_nothing(sizes: list[tuple[int, str]]) -> None:
    """If this fails, an event is missing from its transaction, doubled, or overtaken by a later one of its subject."""
    entries = [entry(n, size, subject) for n, (size, subject) in enumerate(sizes)]
    packed = packer(1000)
    packed.add(entries[:7], 0)
    packed.add(entries[7:], len(entries[:7]))
    order: dict[int, list[int]] = {}
    for batch in packed.take():
        assert batch.topic == "p.tasks"
        assert batch.builder.size() <= 1000
        records = MemoryRecords(bytes(batch.builder._build())).next_batch()
        assert [record.value for record in records] == [entries[index].event.data for index in batch.indexes]
        order.setdefault(batch.partition, []).extend(batch.indexes)
    assert not packed.too_large
    assert sorted(index for indexes in order.values() for index in indexes) == list(range(len(entries)))
    assert all(indexes == sorted(indexes) for indexes in order.values())


@pytest.mark.parametrize("place", [0, 3])
def test_a_record_above_the_limit_is_singled_out(place: int) -> None:
    """If this fails, an event that no request can hold is sent, or its neighbours are refused with it."""
    entries = [entry(n, 2000 if n == place else 20, "one") for n in range(6)]
    packed = packer(1000)
    packed.add(entries, 0)
    assert list(packed.too_large) == [place]
    assert packed.too_large[place] > 2000 + 61, "61 bytes of a record batch are before its first record (magic 2)"


@given(st.integers(0, 10_000_000))
@example(1)
@example(65)
def test_reading_back_covers_everything_in_few_steps(end: int) -> None:
    """If this fails, start-up skips a stretch of the checkpoint topic or reads more of it than it needs."""
    steps = list(spans(end))
    assert [stop for _, stop in steps] == [end, *(start for start, _ in steps)][: len(steps)]
    assert len(steps) <= 7
    assert bool(steps) is (end > 0)
    if steps:
        assert steps[-1][0] == 0
        assert steps[0][1] - steps[0][0] <= 64


def test_the_newest_record_decides() -> None:
    """If this fails, the relay resumes from an older checkpoint or mistakes the owner."""
    other = Ledger(LEDGER.topic, Identity("relay-0", "theirs"), "kafka")
    neighbour = Ledger(LEDGER.topic, Identity("relay-1", "else"), "kafka")
    log = [LEDGER.marker_record(claim=True), LEDGER.checkpoint_record(Checkpoint("j", 1))]
    assert LEDGER.newest(log, Found()) == Found(Checkpoint("j", 1), "mine")
    log += [other.marker_record(claim=True), neighbour.checkpoint_record(Checkpoint("k", 9))]
    assert LEDGER.newest(log, Found()) == Found(Checkpoint("j", 1), "theirs")
    log += [LEDGER.marker_record(claim=False)]
    assert LEDGER.newest(log, Found()) == Found(Checkpoint("j", 1), "theirs")
    log += [other.checkpoint_record(Checkpoint("j", 2))]
    assert LEDGER.newest(log, Found()) == Found(Checkpoint("j", 2), "theirs")
    tombstone: list[tuple[bytes | None, bytes | None]] = [*log, (log[1][0], None)]
    assert LEDGER.newest(tombstone, Found()) == Found()


@pytest.mark.parametrize("name", ["relay/0", "Rélay:0", "x" * 400, ""])
def test_checkpoint_topics_have_legal_names(name: str) -> None:
    """If this fails, an unusual identity makes Kafka refuse the checkpoint topic."""
    topic = topic_name("relay.", Identity(name, "i"))
    assert len(topic) <= 249
    assert set(topic) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert topic != topic_name("relay.", Identity(name + "x", "i"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (kafka.ProducerFenced(), "fenced"),
        (kafka.OutOfOrderSequenceNumber(), "producer_lost"),
        (kafka.KafkaConnectionError("no route"), "unreachable"),
        (ConnectionRefusedError(), "unreachable"),
        (ssl.SSLCertVerificationError("self-signed certificate"), "tls_failed"),
        (TimeoutError(), "timeout"),
        (kafka.TopicAuthorizationFailedError("t"), "authorization"),
        (kafka.TransactionalIdAuthorizationFailed("id"), "authorization"),
        (kafka.SaslAuthenticationFailed(), "authentication"),
        (kafka.UnknownTopicOrPartitionError(), "topics_missing"),
        (kafka.InvalidTransactionTimeout(), "transaction_timeout"),
        (kafka.NotEnoughReplicasError(), "broker_error"),
        (kafka.KafkaError("Unexpected error during batch delivery"), "client_error"),
        (AssertionError("Invalid state transition"), "client_error"),
    ],
)
def test_each_failure_has_its_code(error: BaseException, code: str) -> None:
    """If this fails, alerts by code say the wrong thing, or a vendor's exception crosses the port."""
    answer = unavailable(error, "publishing to Kafka")
    assert answer.code == code
    assert answer.retriable
    assert answer.message.endswith(".")


def test_what_ended_the_sender_is_reported() -> None:
    """If this fails, a producer that Kafka forgot after a week is an error of the client that nobody can act on."""
    error = kafka.KafkaError("Unexpected error during batch delivery")
    error.__cause__ = kafka.InvalidProducerIdMapping()
    answer = unavailable(error, "publishing to Kafka")
    assert (answer.code, "InvalidProducerIdMapping" in answer.message) == ("producer_lost", True)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (kafka.TopicAuthorizationFailedError("relay.tasks"), "rights are missing on the topic relay.tasks."),
        (kafka.TopicAuthorizationFailedError({"b", "a"}), "rights are missing on the topic a b."),
        (
            kafka.TransactionalIdAuthorizationFailed("relay.a.b"),
            "rights are missing on the transactional id relay.a.b.",
        ),
        (kafka.ClusterAuthorizationFailedError(), "rights are missing on the cluster."),
    ],
)
def test_a_denial_names_what_the_rights_are_missing_on(error: BaseException, message: str) -> None:
    """If this fails, the operator has to guess which of the rules is missing."""
    assert unavailable(error, "publishing to Kafka").message.endswith(message)


def config(**keys: Any) -> Config:
    return Config(type="kafka", **keys)


@pytest.mark.parametrize(("client_id", "named"), [(None, "relay-0"), ("bridge", "bridge")])
def test_the_broker_knows_the_client_by_name(client_id: str | None, named: str) -> None:
    """If this fails, nobody can find the relay in the broker's log, or give it a quota."""
    assert connection_options(config(client_id=client_id), "relay-0")["client_id"] == named


async def test_letting_go_ends_a_sender_that_waits_without_limit() -> None:
    """If this fails, each reopening while Kafka is away leaves tasks behind (reliability trap C)."""
    before = asyncio.all_tasks()
    options = connection_options(config(bootstrap_servers="127.0.0.1:1"), "relay-0")
    session = Session(config(), "id", Login(options), 1000, 10.0)
    sender = session.producer._sender

    async def stuck(self: Any = sender) -> None:
        await asyncio.Event().wait()

    async def loop(self: Any = sender) -> None:
        requests = [asyncio.create_task(stuck()) for _ in range(3)]
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            for request in requests:
                await request

    sender._sender_task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    states = [session.alive]
    async with asyncio.timeout(20):
        await session.discard(100)
    assert [*states, session.alive] == [True, False]
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("key", ["ssl_cafile", "ssl_certfile"])
def test_missing_tls_files_are_reported(key: str) -> None:
    """If this fails, a missing certificate looks like an unreachable broker, or the relay shows none of its own."""
    with pytest.raises(SinkUnavailable) as caught:
        connection_options(config(security_protocol="SSL", **{key: "/nowhere.pem"}), "relay-0")
    assert caught.value.code == "tls_files"
    assert "No such file" in caught.value.message


async def test_a_start_that_failed_for_no_reason_that_is_left_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, a broker that was away for a moment leaves a client behind that was never started."""
    aborted: list[bool] = []
    transport = SimpleNamespace(abort=lambda: aborted.append(True), get_extra_info=lambda _: None)

    async def reached(connection: Any) -> None:
        connection._writer = SimpleNamespace(transport=transport)

    class Client:
        async def start(self) -> None:
            raise kafka.KafkaConnectionError("nobody was reached")

    monkeypatch.setattr(AIOKafkaConnection, "connect", reached)
    with pytest.raises(kafka.KafkaConnectionError, match="nobody was reached"):
        await start(Client(), connection_options(config(), "relay-0"))
    assert aborted == [True]


async def test_the_last_server_that_was_tried_says_why_none_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, an operator hears of another server at each attempt, and never which one to look at."""
    servers = [f"127.0.0.1:{port}" for port in range(1, 9)]
    tried: list[str] = []

    async def refused(connection: Any) -> None:
        tried.append(f"{connection.host}:{connection.port}")
        raise ConnectionRefusedError(111, "Connection refused")

    class Client:
        async def start(self) -> None:
            raise kafka.KafkaConnectionError("nobody was reached")

    monkeypatch.setattr(AIOKafkaConnection, "connect", refused)
    with pytest.raises(SinkUnavailable, match=f"No connection to Kafka {servers[-1]}: Connection refused"):
        await start(Client(), connection_options(config(bootstrap_servers=",".join(servers)), "relay-0"))
    assert tried == servers


def test_a_denied_transactional_id_is_named_even_if_aiokafka_does_not() -> None:
    """If this fails, an operator sees that a right is missing, and has to guess on which id."""
    answer = unavailable(kafka.TransactionalIdAuthorizationFailed(), "publishing to Kafka", "User:relay", "relay.r-0.k")
    assert "rights are missing on the transactional id relay.r-0.k (User:relay)" in answer.message
