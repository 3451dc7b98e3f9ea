"""relay's values: a CloudEvent, what the journal stores with it, and how the journal answers.

Attribute names and rules: CloudEvents 1.0, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md

What is made once per event is a named tuple: as immutable as a frozen dataclass, and made in a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

SPECVERSION = "1.0"
CONTENT_TYPE = "application/json"

TASKS = "tasks"
CHAT = "chat"
CHAT_CHUNKS = "chat-chunks"
OUTPUTS = "outputs"
DEAD_LETTERS = "dead-letters"
TOPICS = (TASKS, CHAT, CHAT_CHUNKS, OUTPUTS, DEAD_LETTERS)
"""The logical topics; a sink puts its prefix before the name."""

TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{f"relay.task.{step}": TASKS for step in ("submitted", "progressed", "succeeded", "failed", "abandoned")},
        "relay.task.conflicted": TASKS,
        **{f"relay.chat.{step}": CHAT for step in ("started", "completed", "failed", "cancelled")},
        "relay.chat.chunk": CHAT_CHUNKS,
        **{f"relay.output.{end}": OUTPUTS for end in ("archived", "lost")},
        "relay.delivery.dead": DEAD_LETTERS,
    }
)
"""The topic of every type of event."""

_SPACES_FOR_BREAKS = bytes.maketrans(b"\r\n", b"  ")


def one_line(document: bytes) -> bytes:
    """The same JSON document without line breaks: in JSON they stand only between tokens (RFC 8259, 2 and 7).

    An event with a line break in it would break the frames and lines that it is put into: SSE, JSON lines.
    """
    if b"\n" in document or b"\r" in document:
        return document.translate(_SPACES_FOR_BREAKS)
    return document


class Event(NamedTuple):
    """One CloudEvent, its ``data`` already JSON, on one line. ``None``: the attribute is left out, never null."""

    topic: str
    type: str
    id: str
    source: str
    subject: str
    time: str
    data: bytes
    dataschema: str | None = None
    traceparent: str | None = None

    def attributes(self) -> Iterator[tuple[str, str]]:
        """The context attributes that have a value, under their CloudEvents names, in a fixed order."""
        yield "specversion", SPECVERSION
        yield "id", self.id
        yield "source", self.source
        yield "type", self.type
        yield "subject", self.subject
        yield "time", self.time
        yield "datacontenttype", CONTENT_TYPE
        if self.dataschema is not None:
            yield "dataschema", self.dataschema
        if self.traceparent is not None:
            yield "traceparent", self.traceparent


class Entry(NamedTuple):
    """An event at its place in the journal.

    ``offset`` grows by at least one per event and is never used again; ``accepted_at`` is epoch milliseconds.
    ``sink`` names the only sink it is meant for (a replayed dead letter); ``None``: every sink. ``key`` and
    ``fingerprint`` are the draft's: replicas that share a sink compare them.
    """

    offset: int
    accepted_at: int
    event: Event
    sink: str | None = None
    key: bytes = b""
    fingerprint: bytes = b""


def fitting(entries: list[Entry], size: int) -> list[Entry]:
    """As many from the beginning as have ``size`` bytes of data at most; at least one if there is one."""
    taken = 0
    for count, entry in enumerate(entries):
        taken += len(entry.event.data)
        if count and taken > size:
            return entries[:count]
    return entries


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not go on, kept until somebody replays or deletes it.

    ``origin`` is the source or the sink that refused it, ``reason`` a code from a bounded set, ``raw`` the bytes
    as received (a delivery) or the event's data (a refused event). ``event_offset`` and ``event`` are the refused
    event's place and itself, ``None`` for a delivery.
    """

    id: str
    origin: str
    reason: str
    detail: str
    raw: bytes
    event_offset: int | None = None
    event: Event | None = None


class Draft(NamedTuple):
    """An event on its way into the journal, with what absorbs its repetitions.

    ``key`` (16 bytes) says which fact this is; ``fingerprint`` what that fact states. Known key, same fingerprint:
    a duplicate. Known key, other fingerprint: a contradiction, published once under ``conflict_type``, or absorbed
    as a duplicate where that is ``None`` (see ``relay.core.dedup``). ``dead`` is stored in the same transaction.
    ``sink`` limits the event to one sink. ``via`` is how the fact was observed, where repetitions are counted.
    """

    event: Event
    key: bytes
    fingerprint: bytes = b""
    conflict_type: str | None = None
    dead: DeadLetter | None = None
    sink: str | None = None
    via: str | None = None


class Receipt(NamedTuple):
    """The journal's answer, given after the fsync. ``offset`` is that of the event that stands for the fact."""

    result: Literal["accepted", "duplicate", "dead"]
    event_id: str
    offset: int
