"""How an event looks on the wire: Kafka headers, structured JSON, the fields of a Redis stream entry.

- Kafka, binary content mode: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
- Structured JSON: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md

Attributes without a value are left out, never null.
"""

from __future__ import annotations

from functools import lru_cache

import orjson

from relay.core.event import CONTENT_TYPE, SPECVERSION, Event, one_line

STRUCTURED_CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
"""The content type of ``structured_json``; JSON format, section 3."""

Header = tuple[str, bytes]


@lru_cache(maxsize=256)
def _constant_headers(type_: str, source: str, dataschema: str | None) -> tuple[Header, ...]:
    """What is the same for every event of a kind, encoded once: the hot path of the Kafka sink runs through here."""
    constant = [
        ("ce_specversion", SPECVERSION.encode()),
        ("ce_type", type_.encode()),
        ("ce_source", source.encode()),
        ("content-type", CONTENT_TYPE.encode()),
    ]
    if dataschema is not None:
        constant.append(("ce_dataschema", dataschema.encode()))
    return tuple(constant)


def kafka_headers(event: Event) -> list[Header]:
    """The headers of binary content mode (Kafka binding, section 3.2); the record's value is ``event.data``."""
    headers = [
        *_constant_headers(event.type, event.source, event.dataschema),
        ("ce_id", event.id.encode()),
        ("ce_subject", event.subject.encode()),
        ("ce_time", event.time.encode()),
    ]
    if event.traceparent is not None:
        headers.append(("ce_traceparent", event.traceparent.encode()))
    return headers


def structured_json(event: Event) -> bytes:
    """The whole event as one JSON object on one line, ``data`` spliced in: not parsed, so it must be valid JSON.

    Journals of earlier releases hold events whose ``data`` has line breaks.
    """
    document: dict[str, object] = dict(event.attributes())
    document["data"] = orjson.Fragment(one_line(event.data))
    return orjson.dumps(document)


def redis_fields(event: Event) -> list[bytes | str]:
    """Field, value, field, value...: one field per attribute under its plain name, and ``data`` as JSON last."""
    # Written out: the hot path of the Redis sink runs through here, and a generator takes four times as long.
    fields = [
        *("specversion", SPECVERSION, "id", event.id, "source", event.source, "type", event.type),
        *("subject", event.subject, "time", event.time, "datacontenttype", CONTENT_TYPE),
    ]
    if event.dataschema is not None:
        fields += ("dataschema", event.dataschema)
    if event.traceparent is not None:
        fields += ("traceparent", event.traceparent)
    return [*fields, "data", event.data]
