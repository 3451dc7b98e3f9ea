"""The schemas of what the relay answers over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relay.contract.schemas import Schema, reference, schemas
from relay.core.event import CONTENT_TYPE, SPECVERSION, TOPICS
from relay.core.task import TASK_ID
from relay.edge.problems import KINDS
from relay.journal.tasks import STATES

_TEXT: Final[Schema] = {"type": "string"}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}


def _object(properties: dict[str, Schema], *, optional: Sequence[str] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def problem_schema(codes: Sequence[str]) -> Schema:
    """An RFC 9457 problem with one of these codes. Raises ``KeyError`` for a code that is none."""
    statuses = sorted({KINDS[code].status for code in codes})
    return _object(
        {
            "type": {"enum": [f"urn:relay:problem:{code}" for code in codes]},
            "title": _TEXT,
            "status": {"enum": statuses},
            "code": {"enum": list(codes)},
            "detail": _TEXT,
            "hint": {**_TEXT, "description": "What to do."},
        },
        optional=("detail", "hint"),
    )


def openai_error_schema(codes: Sequence[str]) -> Schema:
    """One of these codes in OpenAI's shape, on the OpenAI routes."""
    return _object(
        {"error": _object({"message": _TEXT, "type": _TEXT, "param": _TEXT_OR_NULL, "code": {"enum": list(codes)}})}
    )


_EVENT: Final = _object(
    {
        "specversion": {"const": SPECVERSION},
        "id": _TEXT,
        "source": _TEXT,
        "type": _TEXT,
        "subject": _TEXT,
        "time": _TIME,
        "datacontenttype": {"const": CONTENT_TYPE},
        "dataschema": {"enum": [schema["$id"] for schema in schemas().values()]},
        "traceparent": _TEXT,
        "data": {"anyOf": [reference(name) for name in schemas()]},
    },
    optional=("traceparent",),
)
_TASK: Final[dict[str, Schema]] = {
    "task_id": {**_TEXT, "pattern": f"^{TASK_ID.pattern}$"},
    "task_type": _TEXT_OR_NULL,
    "state": {"enum": list(STATES)},
    "reason": _TEXT_OR_NULL,
    "submitted_at": _TIME_OR_NULL,
    "ended_at": _TIME_OR_NULL,
    "polls": _COUNT,
    "next_poll_at": _TIME_OR_NULL,
    "trouble": {**_TEXT_OR_NULL, "description": "What keeps polls from answering."},
    "trouble_since": _TIME_OR_NULL,
}
_DEAD_LETTER: Final[dict[str, Schema]] = {
    "id": _TEXT,
    "origin": _TEXT,
    "reason": _TEXT,
    "detail": _TEXT,
    "accepted_at": _TIME,
    "raw_bytes": _COUNT,
    "event_offset": {"type": ["integer", "null"]},
    "event": {"type": ["object", "null"], "description": "The attributes of the event that a sink refused."},
}

ANSWERS: Final[dict[str, Schema]] = {
    "Delivered": _object(
        {"status": {"enum": ["accepted", "duplicate", "dead", "ignored"]}, "event_id": _TEXT}, optional=("event_id",)
    ),
    "Event": {**_EVENT, "description": "A CloudEvent in structured JSON."},
    "OffsetEvent": _object({"offset": _COUNT, "topic": {"enum": list(TOPICS)}, "event": reference("Event")}),
    "EventPage": _object({"events": {"type": "array", "items": reference("OffsetEvent")}, "next": _COUNT}),
    "Task": _object(_TASK),
    "TaskWithEvents": _object({**_TASK, "events": {"type": "array", "items": reference("OffsetEvent")}}),
    "TaskPage": _object(
        {
            "tasks": {"type": "array", "items": reference("Task")},
            "next": {"type": ["integer", "null"]},
            "counts": {"type": "object", "additionalProperties": _COUNT},
        }
    ),
    "WatchRequest": {**_object({"task_id": _TASK["task_id"]}), "additionalProperties": False},
    "DeadLetter": _object(_DEAD_LETTER),
    "DeadLetterWithRaw": _object({**_DEAD_LETTER, "raw": {**_TEXT, "description": "Without secrets."}}),
    "DeadLetterPage": _object(
        {"dead_letters": {"type": "array", "items": reference("DeadLetter")}, "next": _TEXT_OR_NULL}
    ),
    "Alive": _object(
        {"status": {"enum": ["alive", "stalled"]}, "reasons": {"type": "array", "items": _TEXT}}, optional=("reasons",)
    ),
    "Ready": _object({"status": {"enum": ["ready", "unready"]}, "reasons": {"type": "array", "items": _TEXT}}),
    "AnyObject": {"type": "object"},
}
