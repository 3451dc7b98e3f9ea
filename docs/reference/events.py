"""``events.md``: every type of event, from the examples that the relay's own code makes, and from the JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from docs.reference.markdown import anchor, code, page, table
from relay.contract.asyncapi import SUMMARIES
from relay.contract.examples import CHAT_ID, TASK_ID, events
from relay.contract.schemas import Schema, schemas
from relay.core.event import TOPICS, Event

INTRODUCTION: Final = """
Events are CloudEvents 1.0: attributes, and `data` as JSON. On Kafka an attribute is a header `ce_<name>`, and `data`
the value of the record; on Redis each attribute and `data` is a field; over HTTP all of it is one JSON object. [For
consumers](../consumers.md) shows the three, and says how to read each event exactly once; [the events of a
chat](../chat-events.md) how a chat ends.

An attribute without a value is left out. In `data` every key is always there, and what is not known is `null`.
"""
_ATTRIBUTES: Final = """
`id` is unique within `source`, and the same however often, and on whichever replica, the fact arrives.
`time` is when it happened as far as the upstream says, else when relay observed it: RFC 3339, UTC, milliseconds.
Besides these there are `specversion` (`1.0`), `datacontenttype` (`application/json`) and, where a trace is known,
`traceparent` ([tracing](../tracing.md)).
"""
_WORDS: Final[dict[str, str]] = {"string": "text", "boolean": "true or false"}
_DIGEST: Final = re.compile(r"[0-9a-f]{16}$")


def events_page() -> str:
    """The page."""
    made = events()
    types = [[code(type_), code(event.topic), _linked(event), SUMMARIES[type_]] for type_, event in made.items()]
    attributes = [[code(type_), *map(code, _attributes(event))] for type_, event in made.items()]
    topics = [[code(topic), code(f"relay.{topic}"), code(f"{{relay}}:{topic}")] for topic in TOPICS]
    parts = [
        "## Topics\n\n"
        + table(["topic", "on Kafka", "on Redis"], topics)
        + "\n\n`relay.` and `{relay}:` are the sinks' default `prefix`.",
        "## Types\n\n" + table(["type", "topic", "`data`", "what it reports"], types),
        "## Attributes\n\n" + table(["type", "id", "source", "subject"], attributes) + f"\n\n{_ATTRIBUTES.strip()}",
        *(_schema(name, schema) for name, schema in schemas().items()),
    ]
    return page("Events", INTRODUCTION, parts)


def _linked(event: Event) -> str:
    name = next(name for name, schema in schemas().items() if schema["$id"] == event.dataschema)
    return f"[{name}](#{anchor(_heading(name))})"


def _attributes(event: Event) -> Iterable[str]:
    """The id, the source and the subject, with names instead of what differs from event to event."""
    known = {TASK_ID: "<task>", CHAT_ID: "<chat>"}
    named = {known.get(event.subject or "", "<dead letter>"): event.subject or ""}
    for value in (event.id, event.source, event.subject or ""):
        for name, text in named.items():
            value = value.replace(text, name)
        yield _DIGEST.sub("<digest>", value)


# The schemas ----------------------------------------------------------------------------------------------------


def _heading(name: str) -> str:
    return f"The data of {name}"


def _schema(name: str, schema: Schema) -> str:
    """A schema as one table; what is inside an object or a list follows it, with its path."""
    rows = _fields(schema, schema.get("$defs", {}), "")
    said = f"`dataschema`: `{schema['$id']}`. The schema itself: `relay schema {name}`, `GET /schemas/{name}.json`."
    return f"## {_heading(name)}\n\n{said}\n\n" + table(["field", "value", "what it says"], rows)


def _fields(schema: Schema, known: Mapping[str, Schema], path: str) -> Iterator[list[str]]:
    for name, field in schema["properties"].items():
        value, inner, mark = _value(field, known)
        yield [code(path + name + mark), value, field.get("description") or (inner or {}).get("description", "")]
        if inner is not None:
            yield from _fields(inner, known, f"{path}{name}{mark}.")


def _value(field: Schema, known: Mapping[str, Schema]) -> tuple[str, Schema | None, str]:
    """What a field holds in words, the schema of the objects in it, and ``[]`` for a list."""
    if "anyOf" in field:
        found = [_value(each, known) for each in field["anyOf"]]
        return " or ".join(word for word, _, _ in found), *next(((s, m) for _, s, m in found if s or m), (None, ""))
    if "$ref" in field:
        return "object", known[field["$ref"].rpartition("/")[2]], ""
    if field.get("type") == "array":
        word, inner, _ = _value(field["items"], known)
        return f"list of: {word}", inner, "[]"
    return _scalar(field), None, ""


def _scalar(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(code(str(value)) for value in field["enum"])
    if "const" in field:
        return code(str(field["const"]))
    kind: str = field.get("type", "any JSON")
    word = "time" if field.get("format") == "date-time" else _WORDS.get(kind, kind)
    bound = "" if "minimum" not in field else f" ≥ {field['minimum']}"
    return word + (f" > {field['exclusiveMinimum']}" if "exclusiveMinimum" in field else bound)
