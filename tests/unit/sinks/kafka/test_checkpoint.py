"""Reading the checkpoint topic back; with a broker: tests/integration/test_kafka_sink.py."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from relay.core.sink import Checkpoint, Identity, SinkUnavailable
from relay.sinks.kafka import checkpoint as module
from relay.sinks.kafka.checkpoint import Found, Ledger, read_back

LEDGER = Ledger("relay.checkpoint.relay-0", Identity("relay-0", "mine"), "kafka")
THEIRS = Ledger("relay.checkpoint.relay-0", Identity("relay-0", "theirs"), "kafka")

Record = tuple[bytes | None, bytes | None]


class Topic:
    """Stands for aiokafka's consumer of a topic with these records; the offsets without one are of markers."""

    def __init__(self, records: Mapping[int, Record], end: int) -> None:
        self._records, self._end, self._at = records, end, 0
        self._client = SimpleNamespace(_conns={})
        self.read = 0
        self.stopped = False

    def __call__(self, **options: Any) -> Topic:
        assert options["isolation_level"] == "read_committed"
        return self

    def assign(self, partitions: Sequence[Any]) -> None:
        [self._partition] = partitions

    async def start(self) -> None: ...

    async def end_offsets(self, partitions: Sequence[Any]) -> dict[Any, int]:
        return {self._partition: self._end}

    def seek(self, partition: Any, offset: int) -> None:
        self._at = offset

    async def position(self, partition: Any) -> int:
        return self._at

    async def getmany(self, partition: Any, *, timeout_ms: int) -> dict[Any, list[Any]]:
        upto = min(self._at + 10, self._end)
        found = [at for at in range(self._at, upto) if at in self._records]
        self._at, self.read = upto, self.read + len(found)
        fetched = [SimpleNamespace(offset=at, key=self._records[at][0], value=self._records[at][1]) for at in found]
        return {partition: fetched} if fetched else {}

    async def stop(self) -> None:
        self.stopped = True


def topic(monkeypatch: pytest.MonkeyPatch, records: Mapping[int, Record], end: int) -> Topic:
    found = Topic(records, end)
    monkeypatch.setattr(module, "AIOKafkaConsumer", found)
    return found


def moved(offset: int) -> Record:
    return LEDGER.checkpoint_record(Checkpoint("journal", offset))


@pytest.mark.parametrize(
    ("records", "end", "found"),
    [
        pytest.param({}, None, Found(), id="nothing"),
        pytest.param({3: moved(1), 1999: moved(2)}, None, Found(Checkpoint("journal", 2), "mine"), id="at the end"),
        pytest.param({3: moved(1), 5: moved(2)}, None, Found(Checkpoint("journal", 2), "mine"), id="at the beginning"),
        pytest.param(
            {3: moved(1), 1990: THEIRS.marker_record(claim=True)},
            None,
            Found(Checkpoint("journal", 1), "theirs"),
            id="taken over long after",
        ),
        pytest.param(
            {3: THEIRS.marker_record(claim=True), 1990: moved(1)},
            None,
            Found(Checkpoint("journal", 1), "mine"),
            id="taken over long before",
        ),
        pytest.param(
            {3: moved(1), 4: moved(2)}, 4, Found(Checkpoint("journal", 1), "mine"), id="no further than asked"
        ),
    ],
)
async def test_the_newest_word_is_found_wherever_it_is(
    monkeypatch: pytest.MonkeyPatch, records: Mapping[int, Record], end: int | None, found: Found
) -> None:
    """P2 broken: the relay would go on from an older place than the sink's, or fence itself, or not notice a rival."""
    stub = topic(monkeypatch, records, 2000)
    async with asyncio.timeout(10):
        assert await read_back(LEDGER, {}, end) == found
    assert stub.stopped


def test_a_checkpoint_without_counts_has_counted_nothing() -> None:
    """P5 broken: the balance of a sink would begin with events that nobody has absorbed."""
    value = b'{"journal_id":"journal","offset":3,"instance":"mine"}'
    assert LEDGER.newest([(moved(1)[0], value)], Found()) == Found(Checkpoint("journal", 3, 0, 0), "mine")


async def test_no_more_is_read_than_the_newest_checkpoint_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, each start reads the whole topic, however long it is."""
    stub = topic(monkeypatch, {at: moved(at) for at in range(2000)}, 2000)
    await read_back(LEDGER, {})
    assert stub.read <= 64


@pytest.mark.parametrize("value", [b"junk", b"{}", b"[1]"])
async def test_a_record_that_is_no_checkpoint_is_named(monkeypatch: pytest.MonkeyPatch, value: bytes) -> None:
    """P2 broken: the relay would take a topic that it cannot read for an empty one, and publish everything again."""
    stub = topic(monkeypatch, {7: (moved(1)[0], value)}, 9)
    with pytest.raises(SinkUnavailable) as refused:
        await read_back(LEDGER, {})
    assert refused.value.code == "checkpoint_unreadable"
    assert LEDGER.topic in refused.value.message
    assert stub.stopped
