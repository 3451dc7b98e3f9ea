"""The recorder of a stream: what it tells, and when, of the bytes that it is fed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from relay.core.chat import ChatData, Opening
from relay.core.chat_outcome import Ending
from relay.core.chat_tap import Capture, Closed, Tap
from relay.core.event import Draft

OPENING = Opening("s1", 1_700_000_000_000, 100.0, model="asked", client="web")
VALIDATOR = Draft202012Validator(TypeAdapter(ChatData).json_schema())


def frame(delta: dict[str, Any] | None = None, **keys: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": None}]
    return b"data: %b\n\n" % orjson.dumps({"id": "c1", "model": "org/m", "choices": choices, **keys})


def said(text: str) -> bytes:
    return frame({"content": text})


FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


def tap(**capture: Any) -> Tap:
    made = Tap(OPENING, Capture(**capture))
    made.answered(200, "text/event-stream; charset=utf-8")
    return made


def ended(*pieces: bytes, ending: Ending = "end", **capture: Any) -> Closed:
    made = tap(**capture)
    for number, piece in enumerate(pieces, 1):
        made.feed(piece, 100.0 + number)
    closed = made.end(ending, 101.0 + len(pieces))
    VALIDATOR.validate(orjson.loads(closed.terminal.event.data))
    assert orjson.loads(closed.terminal.event.data) == closed.data
    return closed


def sequences(drafts: list[Draft]) -> list[tuple[int, int]]:
    """First sequence and number of chunks of each chunk event."""
    told = [orjson.loads(draft.event.data) for draft in drafts]
    return [(data["first_sequence"], len(data["chunks"])) for data in told]


def test_a_whole_stream() -> None:
    """The one event that everything is for would be missing or wrong."""
    closed = ended(frame({"role": "assistant"}), said("Hi"), said(" there"), FINISH, USAGE, DONE)
    data = closed.data
    assert (closed.terminal.event.type, closed.terminal.event.id) == ("relay.chat.completed", "s1:completed")
    assert closed.terminal.event.time == "2023-11-14T22:13:27.000Z"
    assert data["choices"][0]["content"] == "Hi there"
    assert (data["usage"], data["usage_source"], data["chunks"]) == ({"total_tokens": 3}, "reported", 5)
    assert data["timings"] == {
        "started_at": "2023-11-14T22:13:20.000Z",
        "first_byte_ms": 1000,
        "first_token_ms": 2000,
        "duration_ms": 7000,
    }
    assert sequences(closed.chunks) == [(0, 5)]


def test_chunk_events_come_when_they_are_due() -> None:
    """Consumers that follow a stream would get it late, or one event per frame."""
    made = tap(coalesce=0.25)
    made.feed(said("a"), 100.1)
    assert made.due(100.2) == []
    made.feed(said("b"), 100.2)
    assert sequences(made.due(100.25)) == [(0, 2)]
    made.feed(said("c"), 100.3)
    assert made.due(100.4) == []
    assert made.due(100.6) != []
    assert made.due(101.0) == []


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", None])
def test_an_answer_without_a_byte_ends_too(content_type: str | None) -> None:
    """A stream of which nothing came would have no ending."""
    made = Tap(OPENING, Capture())
    made.answered(200, content_type)
    assert made.end("client_gone", 101.0).data["outcome"] == "cancelled"


def test_without_an_answer_the_status_is_null() -> None:
    """An upstream that cannot be reached would be told with a status that it never gave."""
    data = Tap(OPENING, Capture()).end("upstream_unreachable", 101.0).data
    assert (data["http_status"], data["outcome"], data["reason"]) == (None, "failed", "upstream_unreachable")


@pytest.mark.parametrize(
    ("ending", "outcome"), [("end", "completed"), ("upstream_reset", "failed"), ("client_gone", "cancelled")]
)
def test_an_answer_too_large_to_be_read_ends_as_its_transport_did(ending: Ending, outcome: str) -> None:
    """A large answer would be told as broken, or a broken one as complete."""
    made = Tap(OPENING, Capture(max_body=100))
    made.answered(200, "application/json")
    made.feed(b'{"choices": [' + b" " * 200, 101.0)
    data = made.end(ending, 102.0).data
    assert (data["outcome"], data["truncated"]) == (outcome, True)
