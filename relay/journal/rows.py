"""What the journal's rows are to the rest of the relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from relay.core.event import Entry, Event, Receipt


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """The journal's copy of a sink's checkpoint and its counts since the journal began."""

    offset: int = 0
    published: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sink got since the last save: its offset now, and what was published and refused on the way."""

    offset: int
    published: int
    dead: int

    def then(self, later: Progress) -> Progress:
        """Both together."""
        return Progress(later.offset, self.published + later.published, self.dead + later.dead)


@dataclass(frozen=True, slots=True)
class HeldDeadLetter:
    """A dead letter as it is kept. ``event`` holds the refused event's attributes, ``None`` for a delivery."""

    id: str
    origin: str
    reason: str
    detail: str
    accepted_at: int
    raw_bytes: int
    event_offset: int | None
    event: dict[str, str] | None
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """The receipts of a group, one per draft, and the entries it added, in order."""

    receipts: list[Receipt]
    entries: list[Entry]


def entry_of(row: list[Any]) -> Entry:
    """An entry from its row of ``query.sql``'s page."""
    offset, accepted_at, topic, type_, id_, source, subject, time, dataschema, traceparent, sink, data = row
    event = Event(topic, type_, id_, source, subject, time, data.encode(), dataschema, traceparent)
    return Entry(offset, accepted_at, event, sink)


def held_letter(
    id: str,
    origin: str,
    reason: str,
    detail: str,
    raw_bytes: int,
    accepted_at: int,
    event_offset: int | None,
    event: str | None,
    raw: bytes | None = None,
) -> HeldDeadLetter:
    """A dead letter from its columns."""
    attributes = orjson.loads(event) if event else None
    return HeldDeadLetter(id, origin, reason, detail, accepted_at, raw_bytes, event_offset, attributes, raw)
