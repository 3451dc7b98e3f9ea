"""What the journal's rows are to the rest of the relay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from relay.core.event import Entry, Event, Receipt
from relay.journal.volume import garbled


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """The journal's copy of a sink's checkpoint, and where the offsets up to it went since the journal began.

    ``passed`` are those of no event, of events for another sink, and of events that were pruned before this sink
    was there, or lost by it and pruned; so ``offset == published + dead + absorbed + passed``, or something is wrong.

    What lies up to ``catch_up_to`` is history: it was accepted before the sink was there, or the sink has lost it.
    """

    offset: int = 0
    published: int = 0
    dead: int = 0
    absorbed: int = 0
    passed: int = 0
    catch_up_to: int = 0

    @property
    def accepted(self) -> int:
        """Events up to the checkpoint that are this sink's, told by the offsets alone."""
        return self.offset - self.passed

    def then(self, progress: Progress) -> SavedCheckpoint:
        """As it is after that progress."""
        return SavedCheckpoint(
            progress.offset,
            self.published + progress.published,
            self.dead + progress.dead,
            self.absorbed + progress.absorbed,
            self.passed + progress.passed,
            max(self.catch_up_to, progress.catch_up_to),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sink got since the last save: its offset now, and by how much each count grew on the way."""

    offset: int
    published: int
    dead: int
    absorbed: int = 0
    passed: int = 0
    catch_up_to: int = 0

    def then(self, later: Progress) -> Progress:
        """Both together."""
        return Progress(
            later.offset,
            self.published + later.published,
            self.dead + later.dead,
            self.absorbed + later.absorbed,
            self.passed + later.passed,
            max(self.catch_up_to, later.catch_up_to),
        )


@dataclass(frozen=True, slots=True)
class HeldDeadLetter:
    """A dead letter as it is kept. ``event`` holds the refused event's attributes, ``None`` for a delivery.

    ``subject`` is the task or the stream that it is about, its own id where that could not be read.
    """

    id: str
    origin: str
    reason: str
    detail: str
    accepted_at: int
    raw_bytes: int
    event_offset: int | None
    event: dict[str, str] | None
    subject: str
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """The receipts of a group, one per draft, and the entries it added, in order."""

    receipts: list[Receipt]
    entries: list[Entry]


def checksum(entry: Entry) -> int:
    """CRC-32 of an entry, kept in its row: SQLite has none, and what a disk garbles must not be published."""
    offset, accepted_at, (topic, type_, id_, source, subject, time, data, schema, trace), sink, key, fingerprint = entry
    told = f"{offset}\n{accepted_at}\n{topic}\n{type_}\n{id_}\n{source}\n{subject}\n{time}\n{schema}\n{trace}\n{sink}"
    return crc32(data, crc32(told.encode() + key + fingerprint))


def entries_of(page: bytes, path: Path) -> list[Entry]:
    """The entries of a page that ``query.sql`` read. Raises ``JournalBroken`` where one is not as it was written."""
    try:
        rows = orjson.loads(page)
    except orjson.JSONDecodeError as error:
        raise garbled(path, "An event") from error
    return [_entry_of_json(row, path) for row in rows]


def _entry_of_json(row: list[Any], path: Path) -> Entry:
    *attributes, fact, crc, data = row
    key, _, fingerprint = fact.partition(" ")
    return entry_of((*attributes, bytes.fromhex(key), bytes.fromhex(fingerprint), crc, data.encode()), path)


def entry_of(row: Sequence[Any], path: Path) -> Entry:
    """The entry of a row of events. Raises ``JournalBroken`` where it is not as it was written."""
    offset, accepted_at, topic, type_, id_, source, subject, time, schema, trace, sink, key, fingerprint, crc, data = (
        row
    )
    event = Event(topic, type_, id_, source, subject, time, data, schema, trace)
    entry = Entry(offset, accepted_at, event, sink, key, fingerprint)
    if crc != checksum(entry):
        raise garbled(path, f"Event {offset}")
    return entry


def held_letter(
    id: str,
    origin: str,
    reason: str,
    detail: str,
    raw_bytes: int,
    accepted_at: int,
    event_offset: int | None,
    event: str | None,
    subject: str,
    raw: bytes | None = None,
) -> HeldDeadLetter:
    """A dead letter from its columns."""
    attributes = orjson.loads(event) if event else None
    return HeldDeadLetter(id, origin, reason, detail, accepted_at, raw_bytes, event_offset, attributes, subject, raw)
