"""The checkpoint as records of a compacted topic (docs/adr/0002-kafka-checkpoint.md), and the proof of ownership.

Three keys per sink and identity: ``checkpoint:`` travels in each transaction beside its events; ``owner:`` is written
when a process takes an identity over; ``barrier:`` when it only starts a new producer. The newest of the first two
names the owner.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from relay.core.sink import Checkpoint, Identity, SinkUnavailable
from relay.sinks.kafka.client import let_go

TOPIC_CONFIG = {"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.1"}
"""Small segments: the active one is never compacted, and bounds what a start may have to read."""

_MAX_TOPIC_NAME = 249
_FIRST_STEP = 64
_GROWTH = 16
_POLL_MS = 100


def topic_name(prefix: str, identity: Identity) -> str:
    """The checkpoint topic of an identity, in the letters that Kafka allows (``[a-zA-Z0-9._-]``, at most 249)."""
    name = f"{prefix}checkpoint.{re.sub(r'[^a-zA-Z0-9._-]', '-', identity.name)}"
    if len(name) <= _MAX_TOPIC_NAME:
        return name
    digest = hashlib.blake2b(identity.name.encode(), digest_size=8).hexdigest()
    return f"{name[: _MAX_TOPIC_NAME - len(digest) - 1]}-{digest}"


@dataclass(frozen=True, slots=True)
class Found:
    """What the topic says: how far the sink has got, and which process instance was last to own it."""

    checkpoint: Checkpoint | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The keys and values of one sink of one identity."""

    topic: str
    identity: Identity
    label: str

    def _key(self, kind: str) -> bytes:
        return f"{kind}:{self.identity.name}/{self.label}".encode()

    def checkpoint_record(self, checkpoint: Checkpoint, owner: str | None = None) -> tuple[bytes, bytes]:
        """Key and value that move the checkpoint. ``owner``: whose it is, if not this process's."""
        fields = {
            "journal_id": checkpoint.journal_id,
            "offset": checkpoint.offset,
            "dead": checkpoint.dead,
            "absorbed": checkpoint.absorbed,
            "instance": owner or self.identity.instance,
        }
        return self._key("checkpoint"), orjson.dumps(fields | checkpoint.lineage())

    def marker_record(self, *, claim: bool) -> tuple[bytes, bytes]:
        """Key and value that take the identity over, or merely mark how far to read."""
        return self._key("owner" if claim else "barrier"), orjson.dumps({"instance": self.identity.instance})

    def newest(self, records: Iterable[tuple[bytes | None, bytes | None]], found: Found) -> Found:
        """Fold records in log order over what was ``found`` before them."""
        for key, value in records:
            if key == self._key("checkpoint"):
                found = _checkpoint_of(value)
            elif key == self._key("owner") and value is not None:
                found = replace(found, owner=orjson.loads(value)["instance"])
        return found


def _checkpoint_of(value: bytes | None) -> Found:
    if value is None:
        return Found()
    fields = orjson.loads(value)
    counts = fields.get("dead", 0), fields.get("absorbed", 0)
    checkpoint = Checkpoint(fields["journal_id"], fields["offset"], *counts).with_lineage(fields)
    return Found(checkpoint, fields["instance"])


def spans(end: int) -> Iterator[tuple[int, int]]:
    """Offsets to read, backwards from ``end`` in growing steps: nearly always the first one is enough."""
    step = _FIRST_STEP
    while end > 0:
        start = max(0, end - step)
        yield start, end
        end, step = start, step * _GROWTH


async def read_back(ledger: Ledger, options: dict[str, Any], end: int | None = None) -> Found:
    """The newest word below offset ``end``; ``None``: as far as is committed now.

    Reads until ``end`` itself is passed, and so waits for markers that are still being written: a read that stopped
    earlier could miss a commit and repeat its events. The caller bounds it in time.
    """
    partition = TopicPartition(ledger.topic, 0)
    consumer = AIOKafkaConsumer(
        **options,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=_POLL_MS,
    )
    consumer.assign([partition])
    try:
        await consumer.start()
        if end is None:
            end = (await consumer.end_offsets([partition]))[partition]
        return await _search(ledger, consumer, partition, end)
    except (AttributeError, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise SinkUnavailable(
            "checkpoint_unreadable",
            f"A record in {ledger.topic} is not a checkpoint of this relay.",
            hint="Is another program writing there? See docs/adr/0002-kafka-checkpoint.md for the format.",
        ) from error
    finally:
        await let_go(consumer._client, consumer.stop)


async def _search(ledger: Ledger, consumer: Any, partition: TopicPartition, end: int) -> Found:
    later = Found()
    for start, stop in spans(end):
        found = ledger.newest(await _read(consumer, partition, start, stop), Found())
        later = Found(found.checkpoint, later.owner or found.owner)
        if later.checkpoint is not None:
            break
    return later


async def _read(consumer: Any, partition: Any, start: int, stop: int) -> list[tuple[bytes | None, bytes | None]]:
    consumer.seek(partition, start)
    records: list[tuple[bytes | None, bytes | None]] = []
    while await consumer.position(partition) < stop:
        fetched = await consumer.getmany(partition, timeout_ms=_POLL_MS)
        records += [(r.key, r.value) for batch in fetched.values() for r in batch if r.offset < stop]
    return records
