"""What makes an event valid, from the published contract: its attributes, and its ``data`` by the schema that it names.

Written from ``docs/consumers.md`` and the committed schemas, not from the code that makes the events.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from relay.core.event import Event

_SCHEMAS: Final = Path(__file__).resolve().parents[2] / "relay" / "schemas"

_TASK_TYPES = ("submitted", "progressed", "succeeded", "failed", "abandoned", "conflicted")
CONTRACT: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "urn:relay:schema:task:1": ("task", "tasks", tuple(f"relay.task.{ending}" for ending in _TASK_TYPES)),
    "urn:relay:schema:chat-started:1": ("chat-started", "chat", ("relay.chat.started",)),
    "urn:relay:schema:chat-chunk:1": ("chat-chunk", "chat-chunks", ("relay.chat.chunk",)),
    "urn:relay:schema:chat:1": (
        *("chat", "chat"),
        tuple(f"relay.chat.{ending}" for ending in ("completed", "failed", "cancelled")),
    ),
    "urn:relay:schema:output:1": ("output", "outputs", ("relay.output.archived", "relay.output.lost")),
    "urn:relay:schema:dead-letter:1": ("dead-letter", "dead-letters", ("relay.delivery.dead",)),
}
"""Of each ``dataschema``: the file, the topic, and the types of event that name it."""

Validate = Callable[[Any], None]


def fault_of(event: Event) -> str | None:
    """What a consumer who relies on the contract could not read; ``None`` where all is well."""
    if event.dataschema not in CONTRACT:
        return f"its dataschema is {event.dataschema!r}, which the contract does not have"
    try:
        data = orjson.loads(event.data)
    except orjson.JSONDecodeError as error:
        return f"its data is no JSON: {error}"
    if b"\n" in event.data or b"\r" in event.data:
        return "its data has a line break, which breaks the frame or line that it is put into"
    validate, invalid = _validator(event.dataschema)
    try:
        validate({"topic": event.topic, **dict(event.attributes()), "data": data})
    except invalid as error:
        where = "/".join(str(step) for step in error.instance_path)
        return f"{where or 'the event'}: {error.message}"
    return None


@cache
def _validator(dataschema: str) -> tuple[Validate, type[Any]]:
    import jsonschema_rs  # here, since the processes that append no event need none

    name, topic, types = CONTRACT[dataschema]
    text = {"type": "string", "minLength": 1}
    properties = {
        "topic": {"const": topic},
        "specversion": {"const": "1.0"},
        "id": text,
        "source": {**text, "format": "uri-reference"},
        "type": {"enum": list(types)},
        "subject": text,
        "time": {"type": "string", "format": "date-time", "pattern": "Z$"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"const": dataschema},
        "traceparent": {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
        "data": {"$ref": dataschema},
    }
    document = {
        "type": "object",
        "required": [key for key in properties if key != "traceparent"],
        "properties": properties,
        "additionalProperties": False,
    }
    published = orjson.loads((_SCHEMAS / f"{name}.json").read_bytes())
    registry = jsonschema_rs.Registry([(dataschema, published)])
    validator = jsonschema_rs.Draft202012Validator(document, validate_formats=True, registry=registry)
    return validator.validate, jsonschema_rs.ValidationError
