"""The JSON Schema of each kind of ``data``: alone, as a part of a larger document, and in the form for schema
registries.

A Confluent-compatible registry has one subject for each kind of ``data``, since the topic of chats carries two kinds:
what Confluent calls the record name strategy
(https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html).
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from relay.core.archive.events import OUTPUT_SCHEMA, OutputData
from relay.core.chat.events import CHAT_SCHEMA, CHUNK_SCHEMA, STARTED_SCHEMA, ChatChunk, ChatData, ChatStarted
from relay.core.dead import DEAD_SCHEMA, DeadLetterData
from relay.core.tasks.events import TASK_SCHEMA, TaskData

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DRAFT_07: Final = "http://json-schema.org/draft-07/schema#"
"""The newest dialect that registries can compare: Apicurio, for one, takes 2020-12 and fails at the next version."""

_MODELS: Final[dict[str, tuple[str, Any]]] = {
    "task": (TASK_SCHEMA, TaskData),
    "chat-started": (STARTED_SCHEMA, ChatStarted),
    "chat-chunk": (CHUNK_SCHEMA, ChatChunk),
    "chat": (CHAT_SCHEMA, ChatData),
    "output": (OUTPUT_SCHEMA, OutputData),
    "dead-letter": (DEAD_SCHEMA, DeadLetterData),
}
NAMES: Final = {urn: name for name, (urn, _) in _MODELS.items()}
"""The name of each schema by its URN."""

_LOCAL: Final = "#/$defs/"
_SHARED: Final = "#/components/schemas/"


def schemas() -> dict[str, Schema]:
    """The JSON Schema (2020-12) of each kind of ``data``, by name; ``$id`` is the events' ``dataschema``."""
    return {name: deepcopy(_schema(name)) for name in _MODELS}


@cache
def _schema(name: str) -> Schema:
    urn, model = _MODELS[name]
    return {"$schema": DIALECT, "$id": urn, **TypeAdapter(model).json_schema(mode="serialization")}


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
            moved = _moved(part, _SHARED)
            if found.setdefault(key, moved) != moved:
                raise ValueError(f"two different schemas have the name {key}")
    return found


def reference(name: str) -> Schema:
    """What stands in a document for one of its ``components``."""
    return {"$ref": _SHARED + name}


def subjects(prefix: str) -> dict[str, str]:
    """The text of each schema under its subject, such as ``relay.task``; the same text for the same schema."""
    return {
        prefix + name: orjson.dumps(in_draft_07(schema), option=orjson.OPT_INDENT_2).decode()
        for name, schema in schemas().items()
    }


def in_draft_07(schema: Schema) -> Schema:
    """A schema of ours, which is 2020-12, in draft-07; it takes and refuses the same.

    What the models use is in both, under other names. Beside a ``$ref`` draft-07 ignores all else: there it is a
    description. Source: https://json-schema.org/draft/2019-09/release-notes
    """
    moved: Schema = _moved(schema, "#/definitions/")
    named = {"definitions" if key == "$defs" else key: part for key, part in moved.items()}
    return {**named, "$schema": DRAFT_07}


def _moved(part: Any, home: str) -> Any:
    """With each reference to a definition where that is then: in ``home``."""
    if isinstance(part, dict):
        return {
            key: value.replace(_LOCAL, home) if key == "$ref" else _moved(value, home) for key, value in part.items()
        }
    return [_moved(item, home) for item in part] if isinstance(part, list) else part
