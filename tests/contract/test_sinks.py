"""The conformance suite of sinks. A sink joins it by existing: ``relay/sinks/<type>`` is tested through the
``Harness`` in ``tests/contract/<type>_harness.py``, and a missing harness is a failure.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

import relay.sinks
from relay.app.plugins import sink_plugins
from relay.core.event import CHAT, CHAT_CHUNKS, DEAD_LETTERS, OUTPUTS, TASKS, TOPICS, Entry, Event
from relay.core.sink import (
    Batch,
    Checkpoint,
    Identity,
    Inheritance,
    Name,
    Published,
    Refused,
    Renamable,
    Sink,
    SinkFenced,
    SinkUnavailable,
    Withheld,
)

SINKS = sorted(module.name for module in pkgutil.iter_modules(relay.sinks.__path__) if not module.name.startswith("_"))
JOURNAL = "journal-1"
IDENTITY = Identity("relay-0", "instance-1")
BOUND = 30.0
"""Seconds in which ``open``, ``publish`` and ``close`` must end by themselves, with a harness' short timeouts."""

Read = list[tuple[dict[str, str], bytes]]


class SinkHarness(Protocol):
    """What a sink's harness provides: the sink under test, a real broker, and a second pair of eyes.

    ``connect`` answers a new sink on the same broker and namespace each time; a new harness has a new namespace.
    ``end`` ends what all have shared, after the last test.
    ``read`` reads a topic from its beginning with a client that shares no code with the sink: the attributes under
    their CloudEvents names, and the data. ``oversized`` is an event that the sink refuses for its size, ``None`` if
    there is no such thing. Between ``lose`` and ``restore`` the broker is gone; it comes back with its data.
    """

    def __init__(self, tmp_path: Path) -> None: ...
    async def start(self) -> None: ...
    def connect(self, identity: Identity, topics: Sequence[str] = TOPICS) -> Sink: ...
    async def read(self, topic: str) -> Read: ...
    def oversized(self) -> Event | None: ...
    async def lose(self) -> None: ...
    async def restore(self) -> None: ...
    async def stop(self) -> None: ...
    @classmethod
    def end(cls) -> None: ...


def test_the_suite_finds_the_sinks() -> None:
    """A sink that is looked for in the wrong place would be skipped, and the suite would pass."""
    assert {"kafka", "redis"} <= set(SINKS) == set(sink_plugins())


def harnesses() -> Iterator[tuple[str, type[SinkHarness]]]:
    """By the name of the broker: a sink's own, and others that it is for, too."""
    for sink in SINKS:
        module = importlib.import_module(f"tests.contract.{sink}_harness")
        yield sink, module.Harness
        yield from getattr(module, "ALSO", {}).items()


HARNESSES = dict(harnesses())


@pytest.fixture(scope="module", autouse=True)
def _shared() -> Iterator[None]:
    yield
    for each in HARNESSES.values():
        each.end()


@pytest.fixture(params=HARNESSES)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SinkHarness]:
    made = HARNESSES[request.param](tmp_path)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def sink(harness: SinkHarness) -> AsyncIterator[Sink]:
    """One sink object under ``IDENTITY``, not yet open."""
    made = harness.connect(IDENTITY)
    yield made
    async with asyncio.timeout(BOUND):
        await made.close()


def event(number: int, *, topic: str = TASKS, subject: str = "task-1") -> Event:
    return Event(
        topic=topic,
        type="relay.task.succeeded",
        id=f"event-{number}",
        source="https://api.novita.ai/v3/async",
        subject=subject,
        time="2025-06-01T12:00:00.000Z",
        data=b'{"number": %d}' % number,
    )


def entries(first: int, last: int) -> list[Entry]:
    """Entries ``first`` to ``last``, inclusive, of three subjects in turn."""
    return [Entry(n, 0, event(n, subject=f"task-{n % 3}")) for n in range(first, last + 1)]


def batch(items: Sequence[Entry], offset: int | None = None) -> Batch:
    return Batch(items, Checkpoint(JOURNAL, items[-1].offset if offset is None else offset))


def batches(items: Sequence[Entry], size: int) -> Iterator[Batch]:
    for start in range(0, len(items), size):
        yield batch(items[start : start + size])


async def reopen(sink: Sink) -> Checkpoint | None:
    """Open as often as it takes until the broker is back."""
    async with asyncio.timeout(BOUND):
        while True:
            try:
                return await sink.open()
            except SinkUnavailable:
                await asyncio.sleep(0.1)


async def deliver(sink: Sink, items: Sequence[Entry], size: int = 5, under_way: asyncio.Event | None = None) -> None:
    """What a publisher does: go on from the sink's own checkpoint until everything is settled.

    ``under_way`` is set after the first batch.
    """
    while True:
        held = await reopen(sink)
        try:
            for part in batches([item for item in items if held is None or item.offset > held.offset], size):
                await sink.publish(part)
                if under_way is not None:
                    under_way.set()
            return
        except SinkUnavailable:
            continue


def ids(read: Read) -> list[str]:
    return [attributes["id"] for attributes, _ in read]


def expected_ids(last: int) -> list[str]:
    return [f"event-{n}" for n in range(1, last + 1)]


async def assert_exactly(harness: SinkHarness, last: int) -> None:
    """Events 1 to ``last``, each once, in order within its subject."""
    read = await harness.read(TASKS)
    assert sorted(ids(read)) == sorted(expected_ids(last))
    for subject in {attributes["subject"] for attributes, _ in read}:
        numbers = [int(a["id"].removeprefix("event-")) for a, _ in read if a["subject"] == subject]
        assert numbers == sorted(numbers)


async def test_fresh_sink_has_no_checkpoint(sink: Sink) -> None:
    """Else a first start would skip what the journal already holds."""
    assert await sink.open() is None


async def test_event_arrives_with_all_attributes(harness: SinkHarness, sink: Sink) -> None:
    """Else consumers would miss an attribute, or get other bytes than the relay accepted."""
    full = Event(
        topic=CHAT,
        type="relay.chat.completed",
        id="stream-1:completed",
        source="https://api.novita.ai/openai",
        subject="stream-1",
        time="2025-06-01T12:00:00.123Z",
        data='{"text": "caf\u00e9 \u20ac \U0001f600 \u2028 \\n \\u0000", "list": [1, 2.5, null]}'.encode(),
        dataschema="https://example.test/schemas/relay.chat.completed.json",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    await sink.open()
    assert list(await sink.publish(batch([Entry(7, 0, full)]))) == [Published()]
    assert await harness.read(CHAT) == [(dict(full.attributes()), full.data)]


async def test_absent_attributes_are_absent(harness: SinkHarness, sink: Sink) -> None:
    """Else consumers would see empty or null attributes, which CloudEvents forbids."""
    await sink.open()
    await sink.publish(batch([Entry(1, 0, event(1))]))
    [(attributes, _)] = await harness.read(TASKS)
    assert attributes.keys().isdisjoint({"dataschema", "traceparent"})


async def test_each_topic_gets_its_own_events(harness: SinkHarness, sink: Sink) -> None:
    """Else an event would land on a topic whose consumers do not expect it."""
    await sink.open()
    await sink.publish(batch([Entry(n, 0, event(n, topic=topic)) for n, topic in enumerate(TOPICS, start=1)]))
    found = [ids(await harness.read(topic)) for topic in (TASKS, CHAT, CHAT_CHUNKS, OUTPUTS, DEAD_LETTERS)]
    assert found == [["event-1"], ["event-2"], ["event-3"], ["event-4"], ["event-5"]]


async def test_order_is_kept_within_a_subject(harness: SinkHarness, sink: Sink) -> None:
    """Else a consumer would see a task end before it was submitted (promise P3)."""
    await sink.open()
    for part in batches(entries(1, 60), 7):
        await sink.publish(part)
    await assert_exactly(harness, 60)


async def test_checkpoint_is_read_back_after_close(sink: Sink) -> None:
    """Else a sink that was closed would publish everything again."""
    await sink.open()
    await sink.publish(batch(entries(1, 3)))
    await sink.close()
    assert await sink.open() == Checkpoint(JOURNAL, 3)


async def test_the_counts_travel_with_the_checkpoint(sink: Sink) -> None:
    """Else a crash would part the loss balance from what it counts."""
    await sink.open()
    await sink.publish(Batch(entries(1, 3), Checkpoint(JOURNAL, 9, 2, 4)))
    await sink.close()
    assert await sink.open() == Checkpoint(JOURNAL, 9, 2, 4)
    await sink.publish(Batch((), Checkpoint(JOURNAL, 10, 3, 4)))
    assert await sink.open() == Checkpoint(JOURNAL, 10, 3, 4)


async def test_checkpoint_is_read_back_by_the_next_process(harness: SinkHarness, sink: Sink) -> None:
    """Else a restart of the relay would publish everything again."""
    await sink.open()
    await sink.publish(batch(entries(1, 3), offset=9))
    await sink.close()
    after = harness.connect(Identity(IDENTITY.name, "instance-2"))
    try:
        assert await after.open() == Checkpoint(JOURNAL, 9)
        assert list(await after.publish(batch(entries(10, 10)))) == [Published()]
    finally:
        await after.close()


async def test_identities_have_checkpoints_of_their_own(harness: SinkHarness, sink: Sink) -> None:
    """Else one replica would skip its events because another had published its own."""
    await sink.open()
    await sink.publish(batch(entries(1, 3)))
    other = harness.connect(Identity("relay-1", "instance-1"))
    try:
        assert await other.open() is None
        await other.publish(batch(entries(4, 4)))
        assert list(await sink.publish(batch(entries(5, 5)))) == [Published()]
    finally:
        await other.close()
    assert sorted(ids(await harness.read(TASKS))) == expected_ids(5)


async def test_checkpoint_may_name_another_journal(sink: Sink) -> None:
    """Else a relay whose journal was replaced could never publish again."""
    await sink.open()
    await sink.publish(batch(entries(1, 3)))
    await sink.publish(Batch([], Checkpoint("journal-2", 1)))
    await sink.close()
    assert await sink.open() == Checkpoint("journal-2", 1)


async def test_the_places_of_earlier_journals_are_kept(sink: Sink) -> None:
    """Else a volume that was away for one start would be published again as a whole."""
    await sink.open()
    await sink.publish(batch(entries(1, 3)))
    before = Checkpoint("journal-2", 1, 0, 0, (Checkpoint(JOURNAL, 3),))
    await sink.publish(Batch([], before))
    await sink.close()
    assert await sink.open() == before
    after = Checkpoint(JOURNAL, 4, 1, 2, (Checkpoint("journal-2", 1),))
    await sink.publish(Batch([], after))
    await sink.close()
    assert await sink.open() == after


async def test_a_former_names_checkpoint_is_taken_over(harness: SinkHarness, sink: Sink) -> None:
    """Else a relay that got another identity would publish its journal again, or its former self go on beside it."""
    await sink.open()
    await sink.publish(batch(entries(1, 3)))
    renamed = harness.connect(Identity("relay-9", "instance-9"))
    try:
        assert isinstance(renamed, Renamable)
        assert await renamed.open() is None
        former = Name(IDENTITY.name, label_of(harness))
        assert await renamed.take_over(former, Inheritance("stranger", 5, "heir")) is None
        assert await renamed.take_over(Name("nobody", former.label), Inheritance(JOURNAL, 5, "heir")) is None
        assert await renamed.take_over(former, Inheritance(JOURNAL, 5, "heir")) == Checkpoint("heir", 3)
        with pytest.raises(SinkUnavailable):
            await sink.publish(batch(entries(4, 6)))
        await renamed.publish(Batch(entries(4, 5), Checkpoint("heir", 5)))
        assert await sink.open() == Checkpoint(JOURNAL, 5, handed_over=True)
        await sink.publish(batch(entries(6, 6)))
        await sink.close()
        assert await sink.open() == Checkpoint(JOURNAL, 6)
        await renamed.close()
        assert await renamed.open() == Checkpoint("heir", 5)
        assert await renamed.take_over(former, Inheritance(JOURNAL, 5, "heir-2")) == Checkpoint(
            "heir-2", 5, earlier=(Checkpoint("heir", 5),)
        )
    finally:
        await renamed.close()
    await assert_exactly(harness, 6)
    assert await sink.open() == Checkpoint(JOURNAL, 6), "nothing was left to hand over"


def label_of(harness: SinkHarness) -> str:
    return type(harness).__module__.rpartition(".")[2].removesuffix("_harness")


async def test_large_offsets_survive(sink: Sink) -> None:
    """Else a checkpoint beyond 2**53 would be rounded, and events skipped or repeated."""
    await sink.open()
    await sink.publish(Batch([], Checkpoint(JOURNAL, 2**53 + 1)))
    await sink.publish(Batch([], Checkpoint(JOURNAL, 2**63 - 1)))
    await sink.close()
    assert await sink.open() == Checkpoint(JOURNAL, 2**63 - 1)


async def test_empty_batch_moves_only_the_checkpoint(harness: SinkHarness, sink: Sink) -> None:
    """Else refused events would be tried again at each start."""
    await sink.open()
    assert list(await sink.publish(Batch([], Checkpoint(JOURNAL, 12)))) == []
    await sink.close()
    assert await sink.open() == Checkpoint(JOURNAL, 12)
    assert await harness.read(TASKS) == []


async def test_reopening_after_a_publish_does_not_double_it(harness: SinkHarness, sink: Sink) -> None:
    """Else a lost reply would put the batch on the sink twice (promise P2)."""
    await sink.open()
    await sink.publish(batch(entries(1, 5)))
    await deliver(sink, entries(1, 10))
    await assert_exactly(harness, 10)


async def test_two_thousand_events_in_a_row(harness: SinkHarness, sink: Sink) -> None:
    """Else the sink would lose or double events when it is busy."""
    await sink.open()
    for part in batches(entries(1, 2000), sink.limits.events):
        assert set(await sink.publish(part)) == {Published()}
    await assert_exactly(harness, 2000)


async def test_batch_beyond_the_limits_is_still_published(harness: SinkHarness, sink: Sink) -> None:
    """Else one large event, which the publisher sends alone, would block the sink for good."""
    await sink.open()
    await sink.publish(batch(entries(1, sink.limits.events + 1)))
    await assert_exactly(harness, sink.limits.events + 1)


async def test_oversized_event_is_refused_alone(harness: SinkHarness, sink: Sink) -> None:
    """Else one event that the broker refuses would block the others, or take them along as dead letters."""
    oversized = harness.oversized()
    if oversized is None:
        return
    await sink.open()
    outcomes = await sink.publish(batch([Entry(1, 0, event(1)), Entry(2, 0, oversized), Entry(3, 0, event(3))]))
    if isinstance(outcomes[1], Withheld):
        assert outcomes[1].suspect
        [outcome] = await sink.publish(batch([Entry(2, 0, oversized)]))
    else:
        outcome = outcomes[1]
    assert isinstance(outcome, Refused)
    assert outcome.code
    assert isinstance(outcomes[0], Withheld)
    assert isinstance(outcomes[2], Withheld)
    assert await reopen(sink) is None
    assert set(await sink.publish(batch([Entry(1, 0, event(1)), Entry(3, 0, event(3))]))) == {Published()}
    assert ids(await harness.read(TASKS)) == ["event-1", "event-3"]


async def test_an_event_of_a_topic_that_the_sink_has_not_is_refused_alone(harness: SinkHarness, sink: Sink) -> None:
    """Else a journal that a newer release has written to would end the process, at each start."""
    await sink.open()
    items = [*entries(1, 2), Entry(3, 0, event(3, topic="of-a-newer-release"))]
    outcomes = await sink.publish(batch(items))
    assert [type(outcome) for outcome in outcomes] == [Withheld, Withheld, Refused]
    assert await harness.read(TASKS) == []
    assert list(await sink.publish(batch(items[:2], offset=3))) == [Published()] * 2
    await assert_exactly(harness, 2)


async def test_lost_broker_is_unavailable_and_comes_back(harness: SinkHarness, sink: Sink) -> None:
    """Else an outage would hang the publisher, or cost or double events."""
    await deliver(sink, entries(1, 10))
    await harness.lose()
    async with asyncio.timeout(BOUND):
        with pytest.raises(SinkUnavailable):
            await sink.publish(batch(entries(11, 15)))
        with pytest.raises(SinkUnavailable):
            await sink.open()
        await sink.close()
    await harness.restore()
    assert await reopen(sink) == Checkpoint(JOURNAL, 10)
    await deliver(sink, entries(1, 30))
    await assert_exactly(harness, 30)


async def test_broker_lost_in_the_middle_of_publishing(harness: SinkHarness, sink: Sink) -> None:
    """Else a batch whose fate is unknown would be lost or doubled."""
    await sink.open()
    under_way = asyncio.Event()
    publishing = asyncio.create_task(deliver(sink, entries(1, 400), size=2, under_way=under_way))
    await under_way.wait()
    assert not publishing.done()
    await harness.lose()
    await harness.restore()
    async with asyncio.timeout(2 * BOUND):
        await publishing
    await assert_exactly(harness, 400)


async def test_cancelled_publish_leaves_a_true_checkpoint(harness: SinkHarness, sink: Sink) -> None:
    """Else stopping the relay in the middle of a batch would lose or double it."""
    items = entries(1, 200)
    for turns in (0, 1, 2, 3, 5, 8, 13):
        held = await reopen(sink)
        rest = [item for item in items if held is None or item.offset > held.offset]
        publishing = asyncio.create_task(sink.publish(batch(rest[:10])))
        for _ in range(turns):
            await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    await deliver(sink, items)
    await assert_exactly(harness, 200)


async def test_zombie_is_fenced(harness: SinkHarness, sink: Sink) -> None:
    """Else an old process that wakes up would publish beside its successor (promise P2)."""
    await sink.open()
    await sink.publish(batch(entries(1, 3)))
    successor = harness.connect(Identity(IDENTITY.name, "instance-2"))
    try:
        assert await successor.open() == Checkpoint(JOURNAL, 3)
        with pytest.raises((SinkFenced, SinkUnavailable)):
            await sink.publish(batch(entries(4, 6)))
        for _ in range(2):
            with pytest.raises(SinkFenced):
                await sink.open()
        await deliver(successor, entries(1, 9))
    finally:
        await successor.close()
    await assert_exactly(harness, 9)


async def test_publishing_without_opening_is_unavailable(harness: SinkHarness, sink: Sink) -> None:
    """Else a publisher that lost its way would publish without knowing the checkpoint."""
    with pytest.raises(SinkUnavailable):
        await sink.publish(batch(entries(1, 1)))
    assert await harness.read(TASKS) == []


async def test_close_raises_nothing(harness: SinkHarness, sink: Sink) -> None:
    """Else the relay could not shut down, whatever state its sinks are in."""
    await sink.close()
    await sink.open()
    await sink.close()
    await sink.close()
    await sink.open()
    await harness.lose()
    async with asyncio.timeout(BOUND):
        await sink.close()
        await sink.close()


async def test_topics_of_ones_choice_are_published_to(harness: SinkHarness) -> None:
    """A replay could go nowhere but to the topics that consumers read, or would need those as well."""
    sink = harness.connect(Identity("relay-0-replay", "instance-1"), ("tasks-again",))
    moved = [entry._replace(event=entry.event._replace(topic="tasks-again")) for entry in entries(1, 3)]
    async with asyncio.timeout(BOUND):
        assert await sink.open() is None
        assert await sink.publish(Batch([], Checkpoint(JOURNAL, 0))) == []
        assert await sink.publish(batch(moved)) == [Published()] * 3
        await sink.close()
    assert sorted(attributes["id"] for attributes, _ in await harness.read("tasks-again")) == [
        "event-1",
        "event-2",
        "event-3",
    ]
