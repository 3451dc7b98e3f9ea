"""The JSON Schema of each kind of ``data``, and the same as parts of a larger document."""

from __future__ import annotations

from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from relay.core.chat.events import CHAT_SCHEMA, CHUNK_SCHEMA, STARTED_SCHEMA, ChatChunk, ChatData, ChatStarted
from relay.core.dead import DEAD_SCHEMA, DeadLetterData
from relay.core.tasks.events import TASK_SCHEMA, TaskData

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_MODELS: Final[dict[str, tuple[str, Any]]] = {
    "task": (TASK_SCHEMA, TaskData),
    "chat-started": (STARTED_SCHEMA, ChatStarted),
    "chat-chunk": (CHUNK_SCHEMA, ChatChunk),
    "chat": (CHAT_SCHEMA, ChatData),
    "dead-letter": (DEAD_SCHEMA, DeadLetterData),
}
_LOCAL: Final = "#/$defs/"
_SHARED: Final = "#/components/schemas/"


def schemas() -> dict[str, Schema]:
    """The JSON Schema (2020-12) of each kind of ``data``, by name; ``$id`` is the events' ``dataschema``."""
    return {
        name: {"$schema": DIALECT, "$id": urn, **TypeAdapter(model).json_schema(mode="serialization")}
        for name, (urn, model) in _MODELS.items()
    }


def rendered(document: Schema) -> bytes:
    """A document as it is committed and shown: indented JSON with a line end."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def components() -> dict[str, Schema]:
    """The same schemas for ``components.schemas`` of an AsyncAPI or OpenAPI document.

    A reference there is resolved from the root of that document. So each definition stands beside its schema, and what
    pointed to the schema's own ``$defs`` points there. Raises ``ValueError`` where two definitions share a name only.
    """
    found: dict[str, Schema] = {}
    for name, schema in schemas().items():
        parts = {name: {key: part for key, part in schema.items() if key not in ("$schema", "$id", "$defs")}}
        for key, part in (parts | schema.get("$defs", {})).items():
            moved = _pointing_to_components(part)
            if found.setdefault(key, moved) != moved:
                raise ValueError(f"two different schemas have the name {key}")
    return found


def reference(name: str) -> Schema:
    """What stands in a document for one of its ``components``."""
    return {"$ref": _SHARED + name}


def _pointing_to_components(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: value.replace(_LOCAL, _SHARED) if key == "$ref" else _pointing_to_components(value)
            for key, value in part.items()
        }
    return [_pointing_to_components(item) for item in part] if isinstance(part, list) else part
