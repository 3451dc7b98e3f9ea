"""The Kafka sink's transactions against a stub client, without a broker: reliability traps A, B, C, D and F."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka
from aiokafka.producer.message_accumulator import BatchBuilder

from relay.core.event import Entry, Event
from relay.core.sink import Batch, Checkpoint, Identity, Published, Refused, SinkUnavailable, Withheld
from relay.sinks.kafka import Config, connect
from relay.sinks.kafka import sink as module
from relay.sinks.kafka.checkpoint import Found
from relay.sinks.kafka.client import Session
from relay.sinks.kafka.logins import Login, connection_options
from relay.sinks.kafka.sink import KafkaSink

HELD = Checkpoint("journal", 4)
Verdict = BaseException | None


class StubProducer:
    """aiokafka's producer as the sink uses it; ``verdict`` says what becomes of a batch for a topic."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.committed = 0
        self._known: dict[str, set[int]] = {}  # as aiokafka, it knows of a topic what it was asked for
        self.client = SimpleNamespace(cluster=SimpleNamespace(partitions_for_topic=self._known.get))

    async def start(self) -> None:
        self._world.order.append("producer started")

    async def partitions_for(self, topic: str) -> set[int]:
        return self._known.setdefault(topic, {0})

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1 << 20, 0)

    async def begin_transaction(self) -> None:
        self._world.order.append("begin")

    async def send_batch(self, builder: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[Any]:
        if self._world.gives_up_after == len(self._world.sent):
            raise kafka.IllegalOperation("not in transaction")
        self._world.sent.append((topic, builder.record_count()))
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        verdict = self._world.verdict(topic)
        if verdict is None:
            sent.set_result(SimpleNamespace(offset=self._world.offset))
        else:
            sent.set_exception(verdict)
        return sent

    async def commit_transaction(self) -> None:
        await self._world.commit()
        self.committed += 1
        self._world.order.append("commit")


class StubSession:
    """What stands for ``Session``: a producer, and whether it was let go."""

    alive = True
    lost_connections = 0

    def __init__(self, world: World, login: Login, seconds: float) -> None:
        self.producer = StubProducer(world)
        self.login = login
        self.seconds = seconds
        self.discarded = False

    async def discard(self, timeout: float) -> None:
        self.discarded = True


class World:
    """A sink over stub clients, what they do, and in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **keys: Any) -> None:
        self.order: list[str] = []
        self.sessions: list[StubSession] = []
        self.sent: list[tuple[str, int]] = []
        self.gives_up_after = -1
        self.offset = 0
        self.verdict: Callable[[str], Verdict] = lambda topic: None
        self.commit: Callable[[], Any] = self._at_once
        monkeypatch.setattr(module, "Session", self._new_session)
        monkeypatch.setattr(module, "ensure_topics", self._at_once)
        monkeypatch.setattr(module, "read_back", self._read_back)
        self.sink: KafkaSink = connect(Config(type="kafka", **keys), Identity("relay-0", "mine"))  # type: ignore[assignment]

    async def _at_once(self, *_: object) -> None: ...

    def _new_session(self, *arguments: Any) -> StubSession:
        self.sessions.append(StubSession(self, arguments[2], arguments[-1]))
        return self.sessions[-1]

    async def _read_back(self, *_: object) -> Found:
        self.order.append("checkpoint read")
        return Found(HELD, "mine")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def batch(count: int = 3, *, size: int = 2, topics: Sequence[str] = ("tasks",)) -> Batch:
    events = [
        Event(topics[n % len(topics)], "t", f"id-{n}", "s", "subject", "2026-01-01T00:00:00Z", bytes(size))
        for n in range(count)
    ]
    return Batch([Entry(5 + n, 0, event) for n, event in enumerate(events)], Checkpoint("journal", 4 + count))


def refusing(topic: str, error: BaseException) -> Callable[[str], Verdict]:
    return lambda sent_to: error if sent_to == topic else None


async def test_trap_a_nothing_is_committed_around_a_failed_record(world: World) -> None:
    """TRAP A. Broken: aiokafka commits happily around a record that failed, the checkpoint with it: silent loss."""
    assert await world.sink.open() == HELD
    committed = world.sessions[0].producer.committed
    world.verdict = refusing("relay.tasks", kafka.MessageSizeTooLargeError())
    outcomes = await world.sink.publish(batch())
    assert outcomes == [Withheld(True, outcomes[0].code, outcomes[0].detail)] * 3  # type: ignore[union-attr]
    assert world.sessions[0].producer.committed == committed


async def test_trap_a_a_checkpoint_that_failed_publishes_nothing(world: World) -> None:
    """TRAP A. Broken: the events would be committed without their checkpoint, and be repeated later."""
    await world.sink.open()
    world.verdict = refusing("relay.checkpoint.relay-0", kafka.KafkaTimeoutError())
    with pytest.raises(SinkUnavailable):
        await world.sink.publish(batch())
    assert "commit" not in world.order[world.order.index("checkpoint read") :]


async def test_trap_b_a_refused_record_ends_its_producer_and_is_answered_for(world: World) -> None:
    """TRAP B. Broken: the client has numbered a record that the broker never saw; the next batch fails forever."""
    await world.sink.open()
    world.verdict = refusing("relay.tasks", kafka.MessageSizeTooLargeError())
    outcomes = await world.sink.publish(batch())
    assert [type(outcome) for outcome in outcomes] == [Withheld] * 3
    assert world.sessions[0].discarded
    world.verdict = lambda topic: None
    assert await world.sink.publish(batch()) == [Published()] * 3  # nothing is unknown: it need not be opened again
    assert [session.discarded for session in world.sessions] == [True, False]


@pytest.mark.parametrize(
    "error",
    [kafka.UnknownError(), kafka.ProducerFenced(), kafka.OutOfOrderSequenceNumber(), kafka.UnknownProducerId()],
)
async def test_trap_b_a_record_in_doubt_ends_its_producer_and_the_sink_must_be_opened_again(
    world: World, error: BaseException
) -> None:
    """TRAP B. Broken: what failed for no fault of the event's would be taken for published, though nothing was
    committed, or held against the event."""
    await world.sink.open()
    committed = world.sessions[0].producer.committed
    world.verdict = refusing("relay.tasks", error)
    with pytest.raises(SinkUnavailable) as caught:
        await world.sink.publish(batch())
    assert caught.value.code in {"broker_error", "fenced", "producer_lost"}
    assert world.sessions[0].producer.committed == committed
    assert world.sessions[0].discarded
    with pytest.raises(SinkUnavailable, match="not open"):
        await world.sink.publish(batch())
    world.verdict = lambda topic: None
    assert await world.sink.open() == HELD
    assert await world.sink.publish(batch()) == [Published()] * 3


def in_order(*verdicts: Verdict) -> Callable[[str], Verdict]:
    """Of the batches for ``relay.tasks``, one after the other; those for other topics are taken."""
    left = iter(verdicts)
    return lambda topic: next(left) if topic == "relay.tasks" else None


async def test_trap_b_what_follows_a_refused_batch_in_its_partition_is_a_follow_on(world: World) -> None:
    """TRAP B. Broken: the broker's word on the next batch would hide the refusal, and the relay try again forever."""
    await world.sink.open()
    world.verdict = in_order(kafka.MessageSizeTooLargeError(), kafka.OutOfOrderSequenceNumber())
    outcomes = await world.sink.publish(batch(2, size=600_000))  # a record batch each
    assert outcomes == [Refused("record_too_large", outcomes[0].detail), Withheld()]  # type: ignore[union-attr]
    assert world.sessions[0].discarded


async def test_trap_b_what_is_out_of_sequence_elsewhere_is_a_doubt(world: World) -> None:
    """TRAP B. Broken: a partition that lost records would be passed over for another one's refusal."""
    await world.sink.open()
    refused = {"relay.tasks": kafka.MessageSizeTooLargeError(), "relay.chat": kafka.OutOfOrderSequenceNumber()}
    world.verdict = refused.get
    with pytest.raises(SinkUnavailable) as caught:
        await world.sink.publish(batch(2, topics=("tasks", "chat")))
    assert caught.value.code == "producer_lost"


EVENTS = "relay.tasks"
CHECKPOINT = "relay.checkpoint.relay-0"


async def opened(world: World) -> StubProducer:
    """The sink is open, and what it sent for that is forgotten."""
    await world.sink.open()
    world.sent.clear()
    world.order.clear()
    return world.sessions[-1].producer


async def test_a_large_batch_is_sent_in_parts_and_committed_once_with_its_checkpoint_last(world: World) -> None:
    """Broken: the client would copy four megabytes at once, and acknowledgements wait for it; or P2."""
    await opened(world)
    assert await world.sink.publish(batch(1000, size=6_000)) == [Published()] * 1000
    assert world.sent[-1] == (CHECKPOINT, 1)
    assert {topic for topic, _ in world.sent[:-1]} == {EVENTS}
    assert max(count for _, count in world.sent) <= 200
    assert sum(count for _, count in world.sent[:-1]) == 1000
    assert world.order == ["begin", "commit"]


async def test_trap_a_nothing_follows_a_part_that_failed(world: World) -> None:
    """TRAP A. Broken: the rest would be committed around the part that is missing, or be held against its events."""
    await opened(world)
    world.verdict = in_order(kafka.MessageSizeTooLargeError(), *[None] * 9)
    outcomes = await world.sink.publish(batch(1000, size=6_000))
    assert [type(outcome) for outcome in outcomes] == [Withheld] * 1000
    suspects = [outcome.suspect for outcome in outcomes if isinstance(outcome, Withheld)]
    assert 0 < suspects.count(True) < 200
    assert world.order == ["begin"]
    assert (CHECKPOINT, 1) not in world.sent
    assert world.sessions[0].discarded


@pytest.mark.parametrize(
    ("failure", "code"), [(kafka.TopicAuthorizationFailedError(EVENTS), "authorization"), (None, "client_error")]
)
async def test_trap_a_a_transaction_that_the_client_gave_up_is_not_committed(
    world: World, failure: Verdict, code: str
) -> None:
    """TRAP A. Broken: a part of the events would be committed, or the reason be hidden by what followed from it."""
    await opened(world)
    world.gives_up_after = 1
    world.verdict = refusing(EVENTS, failure) if failure else world.verdict
    with pytest.raises(SinkUnavailable) as caught:
        await world.sink.publish(batch(1000, size=6_000))
    assert caught.value.code == code
    assert world.order == ["begin"]
    assert world.sessions[0].discarded


@pytest.mark.parametrize("begun", [False, True])
async def test_a_record_that_no_request_can_hold_is_refused_wherever_it_is(world: World, begun: bool) -> None:
    """Broken: an event with huge attributes, of which others had been sent already, would be tried again forever."""
    await opened(world)
    usual = batch(500, size=6_000)
    place, large = (450, {"subject": "x" * (1 << 20)}) if begun else (10, {"data": bytes(1 << 20)})
    entries = list(usual.entries)
    entries[place] = entries[place]._replace(event=entries[place].event._replace(**large))
    outcomes = await world.sink.publish(replace(usual, entries=entries))
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Refused)] == [place]
    assert {type(outcome) for outcome in outcomes} == {Refused, Withheld}
    assert world.order == (["begin"] if begun else [])
    assert world.sessions[0].discarded is begun
    assert await world.sink.publish(usual) == [Published()] * 500


async def test_trap_c_letting_go_waits_for_no_broker() -> None:
    """TRAP C. Broken: ``stop()`` and ``abort_transaction()`` flush first, and so wait without limit for a broker that
    is away; the relay could not end, nor open the sink again."""
    options = connection_options(Config(type="kafka", bootstrap_servers="127.0.0.1:1"), "relay-0")
    session = Session(Config(type="kafka"), "id", Login(options), 1000, 10.0)

    async def forever(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    session.producer.stop = session.producer.flush = session.producer.abort_transaction = forever
    session.producer.client.close = forever
    async with asyncio.timeout(5):
        await session.discard(0.05)


async def test_trap_d_a_transaction_has_a_deadline_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRAP D. Broken: aiokafka tries a transaction again without any limit, and sends EndTxn again by itself, which
    may land in a later transaction."""
    world = World(monkeypatch, publish_timeout="50ms")
    await world.sink.open()

    async def hang() -> None:
        await asyncio.Event().wait()

    world.commit = hang
    async with asyncio.timeout(5):
        with pytest.raises(SinkUnavailable) as caught:
            await world.sink.publish(batch())
    assert caught.value.code == "timeout"
    assert world.sessions[0].discarded
    world.commit = world._at_once
    assert await world.sink.open() == HELD


async def test_trap_d_a_batch_that_is_given_more_time_gets_a_producer_that_waits_longer(world: World) -> None:
    """TRAP D. Broken: the broker or aiokafka would give the transaction up before the relay does, and send it again."""
    await world.sink.open()
    large = replace(batch(1), seconds=12.0)
    assert await world.sink.publish(large) == [Published()]
    assert await world.sink.publish(batch()) == [Published()] * 3
    assert [session.seconds for session in world.sessions] == [10.0, 12.0]
    config = Config(type="kafka", bootstrap_servers="127.0.0.1:1")
    session = Session(config, "id", Login(connection_options(config, "relay-0")), 1000, 12.0)
    producer = session.producer
    assert producer.client._request_timeout_ms == producer._request_timeout_ms == 22_000
    assert producer._txn_manager.transaction_timeout_ms == 17_000
    await session.discard(1.0)


async def test_trap_f_the_checkpoint_is_read_after_the_new_producer_has_taken_over(world: World) -> None:
    """TRAP F. Broken: a commit that is still being completed would be missed, and its events repeated."""
    await world.sink.open()
    assert world.order == ["producer started", "begin", "commit", "checkpoint read"]


async def test_trap_f_a_marker_whose_place_is_unknown_opens_nothing(world: World) -> None:
    """TRAP F. Broken: the checkpoint would be read up to nowhere, and the journal be published again as a whole."""
    world.offset = -1
    with pytest.raises(SinkUnavailable, match="where the marker was written"):
        await world.sink.open()
    assert "checkpoint read" not in world.order
    assert world.sessions[0].discarded


async def test_what_failed_beside_a_transaction_that_was_given_up_is_no_alarm(world: World) -> None:
    """Broken: at some later moment asyncio reports failures that have been dealt with, as if they were bugs."""
    reports: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    await world.sink.open()
    verdicts = iter([kafka.KafkaTimeoutError()])

    def verdict(topic: str) -> Verdict:
        if (failure := next(verdicts, None)) is None:
            raise kafka.KafkaConnectionError("gone")
        return failure

    world.verdict = verdict
    with pytest.raises(SinkUnavailable):
        await world.sink.publish(batch(2, topics=("tasks", "chat")))
    gc.collect()
    assert reports == []
