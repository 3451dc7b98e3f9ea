"""Turns events into record batches: which partition, which bytes, which batch. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import unpack
from typing import Any

from relay.core.cloudevents import STRUCTURED_CONTENT_TYPE, Header, kafka_headers, structured_json
from relay.core.event import Entry, Event

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C
_STRUCTURED_HEADERS: list[Header] = [("content-type", STRUCTURED_CONTENT_TYPE.encode())]

Render = Callable[[Event], tuple[bytes, list[Header]]]


def murmur2(keys: Sequence[bytes]) -> list[int]:
    """The hashes behind Kafka's default partitioner, so that consumers can co-partition with what Java wrote.

    Same values as ``org.apache.kafka.common.utils.Utils.murmur2`` (as unsigned 32 bit) and as aiokafka's, which goes
    byte by byte.
    """
    by_length: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        by_length.setdefault(len(key), []).append(place)
    hashes = [0] * len(keys)
    for length, places in by_length.items():
        for place, hashed in zip(places, _murmur2([keys[place] for place in places], length), strict=True):
            hashes[place] = hashed
    return hashes


def _murmur2(keys: Sequence[bytes], length: int) -> tuple[int, ...]:
    """Of keys that are equally long, all at once: 64 bits of one long integer for each, of which it uses the lower 32.

    So no product runs over into the neighbour, and what a shift brings from there is masked. For 200 keys this takes a
    tenth of what they take one by one.
    """
    size, words = 8 * len(keys), (length + 3) // 4
    padding = bytes(-length % 4)
    ones = int.from_bytes(b"\1\0\0\0\0\0\0\0" * len(keys), "little")
    mask = ones * _MASK
    column = bytearray(size)
    slots = memoryview(column).cast("I")[::2]
    joined = memoryview(padding.join((*keys, b""))).cast("I")
    h = ones * (_SEED ^ length)
    for word in range(words):
        slots[:] = joined[word::words]
        k = int.from_bytes(column, "little")
        if padding and word == words - 1:
            h = (h ^ k) * _M & mask
        else:
            k = k * _M & mask
            h = (h * _M & mask) ^ ((k ^ k >> 24 & mask) * _M & mask)
    h = (h ^ h >> 13 & mask) * _M & mask
    return unpack(f"<{len(keys)}Q", (h ^ h >> 15 & mask).to_bytes(size, "little"))


def partition_of(hashed: int, count: int) -> int:
    """The partition among ``count`` of a key with this hash, as Java's default partitioner answers it."""
    # Java's hash is signed, and its sign is cut off, not negated (`Utils.toPositive`).
    return (hashed & 0x7FFFFFFF) % count


def render_binary(event: Event) -> tuple[bytes, list[Header]]:
    """Value and headers in binary content mode."""
    return event.data, kafka_headers(event)


def render_structured(event: Event) -> tuple[bytes, list[Header]]:
    """Value and headers in structured content mode."""
    return structured_json(event), _STRUCTURED_HEADERS


@dataclass(slots=True)
class RecordBatch:
    """One Kafka record batch: what is accepted or refused as a whole. ``indexes`` are places in ``Batch.entries``."""

    topic: str
    partition: int
    builder: Any
    round: int = 0
    indexes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Packer:
    """Packs entries into record batches as full as they get: one partition takes one batch per request.

    ``names`` and ``partitions`` say of each logical topic what it is called and how many partitions it has.
    ``new_builder`` gives an empty aiokafka ``BatchBuilder``, and ``max_record`` (bytes) is what a record may take
    including its batch's overhead. ``too_large``: the size of each record above that, by its place in the batch.
    """

    names: Mapping[str, str]
    partitions: Mapping[str, int]
    render: Render
    new_builder: Callable[[], Any]
    max_record: int
    too_large: dict[int, int] = field(default_factory=dict)
    _open: dict[tuple[str, int], RecordBatch] = field(default_factory=dict)
    _full: list[RecordBatch] = field(default_factory=list)

    def add(self, entries: Sequence[Entry], start: int) -> None:
        """Pack ``entries``, the first of which is at ``start`` in the batch.

        Records carry the time of publication, not of acceptance: after a long outage the latter could lie beyond
        the topic's retention, and the broker would delete the event before anybody has read it.
        """
        keys = [entry.event.subject.encode() for entry in entries]
        for index, (entry, key, hashed) in enumerate(zip(entries, keys, murmur2(keys), strict=True), start):
            event = entry.event
            place = (event.topic, partition_of(hashed, self.partitions[event.topic]))
            value, headers = self.render(event)
            batch = self._open.get(place) or self._next(place)
            if batch.builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
                batch = self._next(place)
                batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
            # Only a batch's first record can be too large: it alone is taken whatever its size.
            if not batch.indexes and (size := batch.builder.size()) > self.max_record:
                self.too_large[index] = size
            batch.indexes.append(index)

    def take(self) -> list[RecordBatch]:
        """What was packed since the last time. Those of one round can travel in one request, which has one batch of a
        partition at most.
        """
        batches = sorted([*self._full, *self._open.values()], key=lambda batch: batch.round)
        self._full.clear()
        self._open.clear()
        return batches

    def _next(self, place: tuple[str, int]) -> RecordBatch:
        topic, partition = place
        full = self._open.get(place)
        if full is not None:
            self._full.append(full)
        batch = RecordBatch(self.names[topic], partition, self.new_builder(), full.round + 1 if full else 0)
        self._open[place] = batch
        return batch
