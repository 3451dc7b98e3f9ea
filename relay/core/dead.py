"""Dead letters as events: ``relay.delivery.dead`` on the topic ``dead-letters``.

The journal keeps the bytes as they came, so that they can be replayed; the event carries a redacted text of them.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Final

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from relay.core.clock import rfc3339
from relay.core.dedup import key_of
from relay.core.event import DEAD_LETTERS, DeadLetter, Draft, Entry, Event
from relay.core.redact import publishable, redact, scrub_text
from relay.core.sink import Refused
from relay.core.source import Delivery, Unreadable
from relay.core.tasks.events import TASK_SOURCE, Timestamp

DEAD_SCHEMA: Final = "urn:relay:schema:dead-letter:1"
"""``dataschema`` of every dead-letter event."""

DEAD_TYPE: Final = "relay.delivery.dead"
MAX_RAW: Final = 64 * 1024
"""Bytes of text that the event carries at most; the journal's copy is whole."""


class DeadEvent(TypedDict):
    """The attributes of the event that a sink refused."""

    id: Annotated[str, Field(description="Its `id`; the sinks that accepted it have it under this id.")]
    type: Annotated[str, Field(description="Its `type`.")]
    source: Annotated[str, Field(description="Its `source`.")]
    subject: Annotated[str, Field(description="Its `subject`: the task or the chat.")]


class DeadLetterData(TypedDict):
    """``data`` of the event `relay.delivery.dead`. Unknown is null, never absent."""

    dead_letter_id: Annotated[str, Field(pattern=r"^dead-[0-9a-f]{24}$", description="Its id under /v1/dead-letters.")]
    origin: Annotated[str, Field(description="The source that could not read it, or the sink that refused it.")]
    reason: Annotated[str, Field(description="A code from a bounded set.")]
    detail: Annotated[str, Field(description="What was wrong, for people.")]
    received_at: Annotated[
        Timestamp, Field(description="When the delivery arrived, or the refused event was accepted.")
    ]
    raw: Annotated[str, Field(description="The delivery's body or the event's data as text: redacted, at most 64 KiB.")]
    raw_truncated: Annotated[bool, Field(description="Whether `raw` was cut at 64 KiB.")]
    raw_bytes: Annotated[int, Field(ge=0, description="Size in bytes of what the journal keeps, which is not cut.")]
    event: Annotated[DeadEvent | None, Field(description="The event that a sink refused; null for a delivery.")]


def unreadable_draft(delivery: Delivery, unreadable: Unreadable, *, origin: str) -> Draft:
    """The dead letter of a delivery that ``origin`` (a source's name) could not read.

    The same bytes make the same letter, so a redelivery is a duplicate.
    """
    letter = DeadLetter(
        _letter_id(origin.encode(), delivery.body), origin, unreadable.reason, unreadable.detail, delivery.body
    )
    data = _data(letter, delivery.received_at, None)
    subject = unreadable.subject or letter.id
    return _draft(letter, data, TASK_SOURCE, subject, rfc3339(delivery.received_at))._replace(via=delivery.via)


def refused_draft(entry: Entry, refused: Refused, *, origin: str, refused_at: int) -> Draft:
    """The dead letter of an event that ``origin`` (a sink's label) will never take. ``refused_at``: epoch ms.

    The id holds the entry's offset: after a crash the same refusal makes the same letter, while a replay (an entry
    of its own) that is refused again makes a new one instead of vanishing as a duplicate.
    """
    event = entry.event
    letter = DeadLetter(
        _refusal_id(entry, origin), origin, refused.code, scrub_text(refused.detail), event.data, entry.offset, event
    )
    refused_event: DeadEvent = {"id": event.id, "type": event.type, "source": event.source, "subject": event.subject}
    data = _data(letter, entry.accepted_at, refused_event)
    return _draft(letter, data, f"/relay/sinks/{origin}", event.subject, rfc3339(refused_at), event.traceparent)


def refusal_key(entry: Entry, origin: str) -> bytes:
    """The dedup key of the dead letter that an entry has become on a sink, if it has."""
    return _letter_key(_refusal_id(entry, origin))


def _refusal_id(entry: Entry, origin: str) -> str:
    event = entry.event
    return _letter_id(origin.encode(), event.source.encode(), event.id.encode(), str(entry.offset).encode())


def _letter_key(letter_id: str) -> bytes:
    return key_of("dead", letter_id)


def _letter_id(*parts: bytes) -> str:
    return "dead-" + blake2b(b"\x1f".join(parts), digest_size=12).hexdigest()


def _data(letter: DeadLetter, received_at: int, event: DeadEvent | None) -> DeadLetterData:
    shown, truncated = _shown(letter.raw)
    return {
        "dead_letter_id": letter.id,
        "origin": letter.origin,
        "reason": letter.reason,
        "detail": letter.detail,
        "received_at": rfc3339(received_at),
        "raw": shown,
        "raw_truncated": truncated,
        "raw_bytes": len(letter.raw),
        "event": event,
    }


def _draft(
    letter: DeadLetter, data: DeadLetterData, source: str, subject: str, time: str, traceparent: str | None = None
) -> Draft:
    event = Event(
        DEAD_LETTERS, DEAD_TYPE, letter.id, source, subject, time, orjson.dumps(data), DEAD_SCHEMA, traceparent
    )
    return Draft(event, _letter_key(letter.id), dead=letter)


def _shown(raw: bytes) -> tuple[str, bool]:
    """The text that may be published, and whether it was cut (between characters)."""
    text = redacted_text(raw).encode()
    return text[:MAX_RAW].decode(errors="ignore"), len(text) > MAX_RAW


def redacted_text(raw: bytes) -> str:
    """The bytes of a delivery or an event as text without secrets: for events, the API and the console."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        # No keys to redact by: what looks like a secret is all that can be found.
        return scrub_text(raw.decode(errors="replace"))
    redact(document)
    return publishable(document).decode()
