"""The schemas of relay's answers over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, get_args

import orjson

from relay.contract.schemas import Schema, reference, schemas
from relay.core.chat.api import Api
from relay.core.event import CONTENT_TYPE, SPECVERSION, TOPICS
from relay.core.tasks.events import TASK_ID
from relay.edge.api.chats import OUTCOMES
from relay.edge.api.drain import DrainState
from relay.edge.api.outputs import OUTPUT_KINDS
from relay.edge.http.problems import KINDS
from relay.journal.projections.outputs import OUTPUT_STATES
from relay.journal.projections.tasks import STATES
from relay.journal.publications import PublicationState
from relay.journal.queries import SubjectKind
from relay.telemetry.signals.deliveries import RESULTS

_TEXT: Final[Schema] = {"type": "string"}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL: Final[Schema] = {"type": ["integer", "null"], "minimum": 0}


def _object(properties: dict[str, Schema], *, optional: Sequence[str] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_CHOICES: Final[Schema] = _list({"type": "object"}) | {
    "description": "With `choices=true`, of an event of chunks: what they add to the chat's `choices`, in that form; "
    "`index` of a tool call is its place among all parts of the answer."
}


_CODE: Final = "a code"

_OUTPUT: Final[dict[str, Schema]] = {
    "task_id": {**_TEXT, "pattern": f"^{TASK_ID.pattern}$"},
    "index": {**_COUNT, "description": "Its place among the outputs of its task."},
    "kind": {"enum": list(OUTPUT_KINDS)},
    "state": {"enum": list(OUTPUT_STATES)},
    "reason": {**_TEXT_OR_NULL, "description": "Why the last try failed, or why it is lost."},
    "attempts": {**_COUNT, "description": "Tries that failed."},
    "accepted_at": _TIME,
    "deadline": {**_TIME_OR_NULL, "description": "When its link ends, as far as is known, while it waits."},
    "next_try_at": _TIME_OR_NULL,
    "ended_at": _TIME_OR_NULL,
    "store_key": _TEXT_OR_NULL,
    "url": {**_TEXT_OR_NULL, "description": "Of the archived copy; grants nothing."},
    "size": _COUNT_OR_NULL,
    "sha256": _TEXT_OR_NULL,
    "content_type": _TEXT_OR_NULL,
    "source_url": {**_TEXT_OR_NULL, "description": "Without its query."},
}


def problem_schema(codes: Sequence[str]) -> Schema:
    """An RFC 9457 problem with one of these codes. Raises ``KeyError`` for an unknown code."""
    statuses = sorted({KINDS[code].status for code in codes})
    return _object(
        {
            "type": {"enum": [f"urn:relay:problem:{code}" for code in codes]},
            "title": _TEXT,
            "status": {"enum": statuses},
            "code": {"enum": list(codes)},
            "detail": _TEXT,
            "hint": {**_TEXT, "description": "What to do about it."},
        },
        optional=("detail", "hint"),
    )


def shaped_error_schema(api: Api, codes: Sequence[str]) -> Schema:
    """One of these codes in the shape of an API's errors, by the one that it makes itself."""
    return _shape(orjson.loads(api.error_body(400, _CODE, "")), codes)


def _shape(value: Any, codes: Sequence[str]) -> Schema:
    if isinstance(value, dict):
        return _object({key: _shape(part, codes) for key, part in value.items()})
    if value == _CODE:
        return {"enum": list(codes)}
    return _TEXT if isinstance(value, str) else _TEXT_OR_NULL


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
    "duration_ms": {
        **_COUNT_OR_NULL,
        "description": "From `submitted_at` to `ended_at`; by the upstream's own times if it was not submitted here.",
    },
    "known_via": {
        "enum": ["submit", "watch", "webhook", "poll"],
        "description": "How relay came to know it: `submit` and `watch` are followed until they end.",
    },
    "polls": _COUNT,
    "next_poll_at": _TIME_OR_NULL,
    "trouble": {**_TEXT_OR_NULL, "description": "Why the last polls failed: `unknown_task`, `refused` or `no_answer`."},
    "trouble_since": _TIME_OR_NULL,
}
_TROUBLE: Final = _object(
    {"code": _TEXT, "message": _TEXT, "hint": _TEXT, "since": {**_TIME, "description": "The first in a row."}}
)
_SINK: Final[dict[str, Schema]] = {
    "label": _TEXT,
    "type": _TEXT,
    "up": {"type": ["boolean", "null"], "description": "Null before the first attempt."},
    "trouble": {"anyOf": [_TROUBLE, {"type": "null"}]},
    "offset": {**_COUNT, "description": "Everything up to this offset is settled there."},
    **dict.fromkeys(("accepted", "published", "pending", "dead", "absorbed"), _COUNT),
    "lag_seconds": {"type": "number", "minimum": 0, "description": "Age of the oldest event that it has not received."},
}
_DRAIN: Final = _object(
    {
        "state": {
            "enum": list(get_args(DrainState)),
            "description": "`drained`: every sink has everything, and nothing more is taken.",
        },
        "since": _TIME_OR_NULL,
        "accepting": {"type": "boolean", "description": "Whether deliveries and submissions are taken."},
        "accepting_chats": {"type": "boolean", "description": "Whether chats may begin."},
    }
)
_STATUS: Final[dict[str, Schema]] = {
    "version": _TEXT,
    "identity": _TEXT,
    "started_at": _TIME,
    "now": _TIME,
    "ready": _object({"ok": {"type": "boolean"}, "reasons": _list(_TEXT)}),
    "drain": reference("Drain"),
    "journal": _object(
        {
            "id": _TEXT,
            **dict.fromkeys(("events", "bytes", "last_offset", "dead_letters"), _COUNT),
            "disk_free_bytes": _COUNT_OR_NULL,
        }
    ),
    "sinks": _list(_object(_SINK)),
    "chats": _object({"open": _COUNT}),
    "tasks": _object(
        {"counts": {"type": "object", "additionalProperties": _COUNT}, "pending": _COUNT, "overdue": _COUNT}
    ),
    "upstream": _object({"up": {"type": ["boolean", "null"], "description": "Null before the first request."}}),
}
_QUANTILES: Final = _object({share: {"type": ["number", "null"], "minimum": 0} for share in ("p50", "p99")})
_TREND_POINT: Final[dict[str, Schema]] = {
    "until": {**_TIME, "description": "The end of what it spans."},
    "seconds": {"type": "number", "minimum": 0, "description": "How long it spans: about a minute."},
    "events": {**_COUNT, "description": "Events accepted."},
    "deliveries": _object(dict.fromkeys(RESULTS, _COUNT)),
    "tasks": _object(dict.fromkeys(("succeeded", "failed", "abandoned"), _COUNT)),
    "chats": _object(dict.fromkeys(OUTCOMES, _COUNT)),
    "tokens": _object(dict.fromkeys(("input", "output"), _COUNT)),
    "ack_seconds": {**_QUANTILES, "description": "From a delivery's headers to its answer; null without any."},
    "first_token_seconds": {**_QUANTILES, "description": "From a chat's request to its first token; null without any."},
    "pending": {**_COUNT, "description": "The most events that one sink had not received, looked at every 10 s."},
}
_SEARCHED_SINCE: Final[Schema] = {
    **_TIME_OR_NULL,
    "description": "A sorted list goes back so far; null: to the beginning of the journal, or of what was asked for.",
}
_TRENDS: Final[dict[str, Schema]] = {
    "identity": {**_TEXT, "description": "The replica whose process this is."},
    "points": {
        **_list(reference("TrendPoint")),
        "description": "The oldest first, 60 at most. The first begins with the process; the last ends now.",
    },
    "total": {**reference("TrendPoint"), "description": "The same over all points."},
}
_CHAT: Final[dict[str, Schema]] = {
    "chat_id": _TEXT,
    "model": _TEXT_OR_NULL,
    "client": _TEXT_OR_NULL,
    "state": {"enum": ["open", *OUTCOMES]},
    "api": _TEXT_OR_NULL,
    "reason": {**_TEXT_OR_NULL, "description": "Why it failed or was cancelled."},
    "started_at": _TIME,
    "ended_at": _TIME_OR_NULL,
    "first_token_ms": _COUNT_OR_NULL,
    "duration_ms": _COUNT_OR_NULL,
    "tokens": {
        "description": "As the upstream counted them; null if it did not say.",
        "anyOf": [_object(dict.fromkeys(("input", "output", "total"), _COUNT_OR_NULL)), {"type": "null"}],
    },
    "offset": {**_COUNT, "description": "The offset of the event that ended it; of the first one while it is open."},
}
_DEAD_LETTER: Final[dict[str, Schema]] = {
    "id": _TEXT,
    "origin": _TEXT,
    "reason": _TEXT,
    "detail": _TEXT,
    "accepted_at": _TIME,
    "raw_bytes": _COUNT,
    "event_offset": {"type": ["integer", "null"]},
    "event": {"type": ["object", "null"], "description": "Attributes of the refused event; null for a delivery."},
    "subject": {**_TEXT, "description": "The task or chat that it is about, or its own id."},
}
_TIMELINE: Final[dict[str, Schema]] = {
    "subject": _TEXT,
    "kind": {"enum": list(get_args(SubjectKind))},
    # OpenAPI 3.1 has no `nullable`: null is one of the alternatives.
    "task": {"anyOf": [reference("Task"), {"type": "null"}]},
    "events": _list(reference("TimelineEvent")),
    "next": {"type": ["integer", "null"], "description": "The `after` of the next page."},
    "truncated": {"type": "boolean", "description": "Whether there is more than this answer contains."},
    "publications": _list(
        _object(
            {
                "sink": _TEXT,
                "offset": _COUNT,
                "state": {"enum": list(get_args(PublicationState))},
                "published_at": {**_TIME_OR_NULL, "description": "Null if the time was not recorded."},
            }
        )
    ),
    "duplicates": _list(
        _object(
            {
                "offset": {**_COUNT, "description": "The offset of the event that was published for the fact."},
                "count": _COUNT,
                "first_at": _TIME,
                "last_at": _TIME,
                "observed_via": {"type": "object", "additionalProperties": _COUNT},
            }
        )
    ),
    "outputs": {
        **_list(reference("TrackedOutput")),
        "description": "Of a task, as far as they are archived; 1000 at most.",
    },
    "dead_letters": _list(
        _object({name: _DEAD_LETTER[name] for name in ("id", "origin", "reason", "accepted_at", "event_offset")})
    ),
}
ANSWERS: Final[dict[str, Schema]] = {
    "Delivered": _object(
        {"status": {"enum": ["accepted", "duplicate", "dead", "ignored"]}, "event_id": _TEXT}, optional=("event_id",)
    ),
    "Event": {**_EVENT, "description": "A CloudEvent in structured JSON."},
    "OffsetEvent": _object(
        {"offset": _COUNT, "topic": {"enum": list(TOPICS)}, "event": reference("Event"), "choices": _CHOICES},
        optional=("choices",),
    ),
    "EventPage": _object(
        {
            "events": _list(reference("OffsetEvent")),
            "next": {**_COUNT_OR_NULL, "description": "Null at the end: newest first, or with `until`."},
            "pruned": {
                **_object({"first": _COUNT, "last": _COUNT}),
                "type": ["object", "null"],
                "description": "Offsets after `after` whose events are no longer retained.",
            },
        }
    ),
    "Task": _object(_TASK),
    "TaskWithEvents": _object({**_TASK, "events": _list(reference("OffsetEvent"))}),
    "TaskPage": _object(
        {
            "tasks": _list(reference("Task")),
            "next": _TEXT_OR_NULL,
            "searched_since": _SEARCHED_SINCE,
            "counts": {
                "type": "object",
                "additionalProperties": _COUNT,
                "description": "Of the tasks that were submitted or watched, by state.",
            },
        }
    ),
    "TrackedOutput": _object(_OUTPUT),
    "OutputPage": _object(
        {
            "outputs": _list(reference("TrackedOutput")),
            "next": _TEXT_OR_NULL,
            "waiting": {**_COUNT, "description": "All outputs that are neither archived nor lost."},
        }
    ),
    "Status": _object(_STATUS),
    "TrendPoint": _object(_TREND_POINT),
    "Trends": _object(_TRENDS),
    "Drain": _DRAIN,
    "ChatPage": _object({"chats": _list(_object(_CHAT)), "next": _TEXT_OR_NULL, "searched_since": _SEARCHED_SINCE}),
    "TimelineEvent": _object(
        {
            "offset": _COUNT,
            "topic": {"enum": list(TOPICS)},
            "event": reference("Event"),
            "choices": _CHOICES,
            "sink": {**_TEXT_OR_NULL, "description": "The only sink that it goes to, if it is a replay; else null."},
        },
        optional=("choices",),
    ),
    "Timeline": _object(_TIMELINE),
    "SubjectPage": _object(
        {
            "subjects": _list(_object({"subject": _TEXT, "kind": {"enum": list(get_args(SubjectKind))}})),
            "next": {**_COUNT_OR_NULL, "description": "The `before` that looks further back; null at the end."},
        }
    ),
    "WatchRequest": {**_object({"task_id": _TASK["task_id"]}), "additionalProperties": False},
    "DeadLetter": _object(_DEAD_LETTER),
    "DeadLetterWithRaw": _object({**_DEAD_LETTER, "raw": {**_TEXT, "description": "With secrets redacted."}}),
    "DeadLetterPage": _object({"dead_letters": _list(reference("DeadLetter")), "next": _TEXT_OR_NULL}),
    "Alive": _object({"status": {"enum": ["alive", "stalled"]}, "reasons": _list(_TEXT)}, optional=("reasons",)),
    "Ready": _object({"status": {"enum": ["ready", "unready"]}, "reasons": _list(_TEXT)}),
    "AnyObject": {"type": "object"},
}
