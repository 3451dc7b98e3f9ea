"""Dead letters: their identity, and that the published copy holds no secret."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from relay.core.dead import DEAD_SCHEMA, MAX_RAW, DeadLetterData, redacted_text, refused_draft, unreadable_draft
from relay.core.event import Draft, Entry, Event
from relay.core.redact import REDACTED
from relay.core.sink import Refused
from relay.core.source import Delivery, Unreadable

AT = 1_700_000_000_000
VALIDATOR = Draft202012Validator(TypeAdapter(DeadLetterData).json_schema())
SECRET_BODY = (
    b'{"payload":{"extra":{"webhook":{"url":"https://relay.example/h/t0k3n"}},"note":"/webhooks/novita/t0k3n"}}'
)


def unreadable(body: bytes, *, origin: str = "novita", subject: str | None = None) -> Draft:
    return unreadable_draft(Delivery(body, AT), Unreadable("unknown_status", "what was wrong", subject), origin=origin)


def entry(offset: int, data: bytes = b'{"a":1}') -> Entry:
    event = Event(
        "tasks",
        "relay.task.succeeded",
        "t1:succeeded",
        "/novita/tasks",
        "t1",
        "2023-11-14T22:13:20.000Z",
        data,
        "urn:x",
    )
    return Entry(offset, AT, event)


def refused(offset: int = 7, *, origin: str = "kafka", data: bytes = b'{"a":1}') -> Draft:
    return refused_draft(entry(offset, data), Refused("too_large", "1.2 MB"), origin=origin, refused_at=AT + 1000)


def test_an_unreadable_delivery_becomes_a_letter_with_its_bytes() -> None:
    """What could not be read could not be replayed after an upgrade."""
    draft = unreadable(SECRET_BODY)
    assert draft.dead is not None
    assert (draft.dead.raw, draft.dead.origin, draft.dead.reason) == (SECRET_BODY, "novita", "unknown_status")
    assert draft.dead.event_offset is None
    assert draft.event.id == draft.dead.id == draft.event.subject
    assert (draft.event.topic, draft.event.type) == ("dead-letters", "relay.delivery.dead")
    assert (draft.event.source, draft.event.dataschema) == ("/novita/tasks", DEAD_SCHEMA)


def test_the_published_copy_of_a_delivery_holds_no_secret() -> None:
    """A dead letter would publish the webhook's address, which the event itself hides."""
    draft = unreadable(SECRET_BODY)
    data = orjson.loads(draft.event.data)
    assert b"t0k3n" not in draft.event.data
    assert orjson.loads(data["raw"])["payload"]["extra"] == {"webhook": {"url": REDACTED}}
    assert (data["raw_bytes"], data["raw_truncated"], data["event"]) == (len(SECRET_BODY), False, None)
    VALIDATOR.validate(data)


def test_a_letter_about_a_task_is_filed_under_it() -> None:
    """Nobody could find the dead letter of a task by the task's id."""
    assert unreadable(b"{}", subject="t1").event.subject == "t1"


def test_redelivered_bytes_are_the_same_letter_and_others_are_not() -> None:
    """Each of the upstream's repetitions would be a dead letter of its own, or two letters be taken for one."""
    first, again = unreadable(b'{"a":1}'), unreadable(b'{"a":1}')
    assert (first.key, first.event.id) == (again.key, again.event.id)
    assert first.key != unreadable(b'{"a":2}').key
    assert first.key != unreadable(b'{"a":1}', origin="other").key


def test_a_refused_event_becomes_a_letter_that_names_it() -> None:
    """An operator could not see which event is missing on which sink."""
    draft = refused()
    data = orjson.loads(draft.event.data)
    assert (draft.event.source, draft.event.subject, draft.event.time) == (
        "/relay/sinks/kafka",
        "t1",
        "2023-11-14T22:13:21.000Z",
    )
    assert data["event"] == {
        "id": "t1:succeeded",
        "type": "relay.task.succeeded",
        "source": "/novita/tasks",
        "subject": "t1",
    }
    assert (data["origin"], data["reason"], data["detail"]) == ("kafka", "too_large", "1.2 MB")
    assert draft.dead is not None
    assert (draft.dead.event_offset, draft.dead.raw) == (7, b'{"a":1}')
    VALIDATOR.validate(data)


def test_a_repeated_refusal_is_one_letter_and_a_refused_replay_a_new_one() -> None:
    """A crash would double the letter, or an event refused again after its replay would vanish as a duplicate."""
    assert refused().key == refused().key
    assert refused().key != refused(offset=8).key
    assert refused().key != refused(origin="redis").key


def test_a_sinks_words_are_published_without_addresses() -> None:
    """A sink's error text that quotes its URL would publish the password in it."""
    draft = refused_draft(entry(1), Refused("x", "redis://:pw@b.example/0 said no"), origin="redis", refused_at=AT)
    assert b"pw" not in draft.event.data


@pytest.mark.parametrize("body", ["a" * (MAX_RAW + 10), "é" * MAX_RAW, "a" + "é" * MAX_RAW, "\x01" * MAX_RAW])
def test_a_large_body_is_cut_between_characters(body: str) -> None:
    """A dead letter could be too large for the very sink that should carry it, or be broken text."""
    raw = orjson.dumps({"b": body})
    data = orjson.loads(unreadable(raw).event.data)
    assert data["raw_truncated"] is True
    assert MAX_RAW - 4 < len(data["raw"].encode()) <= MAX_RAW
    assert data["raw_bytes"] == len(raw)


@given(st.binary(max_size=300))
def test_any_bytes_make_a_letter_that_matches_the_schema(body: bytes) -> None:
    """What nobody can read could not even be buried."""
    VALIDATOR.validate(orjson.loads(unreadable(body).event.data))


@pytest.mark.parametrize("levels", [300, 1000, 100_000])
def test_a_deep_body_makes_a_letter(levels: int) -> None:
    """An absurdly nested delivery would raise instead of being kept."""
    VALIDATOR.validate(orjson.loads(unreadable(b"[" * levels + b"]" * levels).event.data))


def test_text_that_is_not_json_shows_no_address() -> None:
    """The API and the console would show a secret of a body that cannot be redacted by structure."""
    assert "t0k3n" not in redacted_text(b'{"webhook": "https://relay.example/h/t0k3n", broken')
