"""What consumers see of an event, byte by byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.cloudevents import kafka_headers, redis_fields, structured_json
from relay.core.event import Event

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def event(dataschema: str | None = None, traceparent: str | None = None, **changes: str) -> Event:
    fields = {
        "topic": "tasks",
        "type": "relay.task.succeeded",
        "id": "t-1:succeeded",
        "source": "https://api.novita.ai/webhook/task-result",
        "subject": "t-1",
        "time": "2026-01-01T00:00:00Z",
    }
    return Event(**(fields | changes), data=b'{"a":1}', dataschema=dataschema, traceparent=traceparent)


def test_kafka_headers_are_those_of_binary_mode() -> None:
    """If this fails, Kafka consumers do not recognise a CloudEvent."""
    assert dict(kafka_headers(event("https://relay.test/s.json", "00-aa-bb-01"))) == {
        "ce_specversion": b"1.0",
        "ce_id": b"t-1:succeeded",
        "ce_source": b"https://api.novita.ai/webhook/task-result",
        "ce_type": b"relay.task.succeeded",
        "ce_subject": b"t-1",
        "ce_time": b"2026-01-01T00:00:00Z",
        "ce_dataschema": b"https://relay.test/s.json",
        "ce_traceparent": b"00-aa-bb-01",
        "content-type": b"application/json",
    }


@pytest.mark.parametrize("absent", ["dataschema", "traceparent"])
def test_attributes_without_a_value_are_left_out(absent: str) -> None:
    """If this fails, an absent attribute shows up as null or as an empty string."""
    bare = event()
    assert f"ce_{absent}" not in dict(kafka_headers(bare))
    assert absent not in json.loads(structured_json(bare))
    assert absent not in redis_fields(bare)


def test_data_is_spliced_into_structured_json_untouched() -> None:
    """If this fails, structured mode re-encodes data: numbers and key order may change."""
    big = Event(**{name: getattr(event(), name) for name in ("topic", "type", "id", "source", "subject", "time")},
                data=b'{"z":1.00, "a":12345678901234567890123}')  # fmt: skip
    assert structured_json(big).endswith(b'"data":{"z":1.00, "a":12345678901234567890123}}')


def test_redis_fields_are_plain_names_and_data() -> None:
    """If this fails, Redis consumers find other fields than the contract names."""
    assert redis_fields(event(traceparent="00-aa-bb-01")) == [
        *("specversion", "1.0", "id", "t-1:succeeded", "source", "https://api.novita.ai/webhook/task-result"),
        *("type", "relay.task.succeeded", "subject", "t-1", "time", "2026-01-01T00:00:00Z"),
        *("datacontenttype", "application/json", "traceparent", "00-aa-bb-01", "data", b'{"a":1}'),
    ]


@given(type=TEXT, source=TEXT, id=TEXT, subject=TEXT, dataschema=st.none() | TEXT, traceparent=st.none() | TEXT)
def test_the_three_forms_say_the_same(
    type: str, source: str, id: str, subject: str, dataschema: str | None, traceparent: str | None
) -> None:
    """If this fails, an event differs by the way it is read, or the header cache mixes two kinds up."""
    one = event(dataschema, traceparent, type=type, source=source, id=id, subject=subject)
    attributes = dict(one.attributes())
    headers = {name: value.decode() for name, value in kafka_headers(one)}
    content_type = headers.pop("content-type")
    assert {name.removeprefix("ce_"): value for name, value in headers.items()} | {
        "datacontenttype": content_type
    } == attributes
    document = json.loads(structured_json(one))
    assert document.pop("data") == {"a": 1}
    assert document == attributes
    fields = redis_fields(one)
    assert dict(zip(fields[::2], fields[1::2], strict=True)) == attributes | {"data": one.data}


def test_an_event_with_line_breaks_in_an_older_journal_is_shown_on_one_line() -> None:
    """Consumers of the stream would stay stuck before it for as long as it is held."""
    written = structured_json(event()._replace(data=b'{\n"a":\r\n"\\n"}'))
    assert written.splitlines() == [written]
    assert json.loads(written)["data"] == {"a": "\n"}
