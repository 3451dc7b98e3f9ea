"""One line per event for people. Following and reconnecting run in tests/integration/test_cli.py."""

from __future__ import annotations

from typing import Any

import orjson

from relay.cli.tail import event_line
from relay.contract import examples


def text_of(event: dict[str, Any]) -> str:
    return "".join(text for text, _ in event_line(event))


def test_a_line_says_what_came_of_a_task() -> None:
    """Somebody who watches would have to look every event up."""
    data = {
        "task_type": "TXT_TO_IMG",
        "outputs": [{"kind": "image"}, {"kind": "image"}, {"kind": "audio"}],
        "reason": None,
    }
    event = {"type": "relay.task.succeeded", "subject": "t-1", "time": "2026-01-01T00:00:00.000Z", "data": data}
    line = text_of(event)
    assert line.startswith("2026-01-01T00:00:00.000Z  relay.task.succeeded   t-1  ")
    assert line.endswith("TXT_TO_IMG  2 image, 1 audio")


def test_a_line_says_why_a_delivery_is_dead() -> None:
    """The reason of a dead letter would not show."""
    data = {"reason": "not_a_task_result", "detail": "task is missing"}
    event = {"type": "relay.delivery.dead", "subject": "dead-1", "time": "2026-01-01T00:00:00.000Z", "data": data}
    assert text_of(event).endswith("not_a_task_result  task is missing")
    assert "red" in dict(event_line(event))["relay.delivery.dead    "]


def test_an_unknown_type_is_shown_all_the_same() -> None:
    """A newer relay's events would break an older `relay tail`."""
    event = {"type": "relay.x", "subject": "s", "time": "t", "data": {}}
    assert "relay.x" in text_of(event)


def line_of(kind: str) -> str:
    """The line of an event as the contract's example has it."""
    event = examples.events()[kind]
    return text_of({**dict(event.attributes()), "data": orjson.loads(event.data)})


def test_a_line_says_what_a_chat_said_and_cost() -> None:
    """Somebody who watches chats would see that they end, and neither what was said nor what it cost."""
    assert line_of("relay.chat.completed").endswith("deepseek/deepseek-v3-0324  17 tokens  200ms  Hello")
    assert line_of("relay.chat.failed").endswith("truncated  200ms  Hello")
    assert line_of("relay.chat.chunk").endswith("  Hello")


def test_a_long_text_is_shortened_to_one_line() -> None:
    """One answer would fill the screen."""
    choices = [{"content": "a kite\nflies " * 50, "tool_calls": []}]
    event = {"type": "relay.chat.completed", "subject": "s", "time": "t", "data": {"choices": choices, "chunks": 3}}
    line = text_of(event)
    assert "a kite flies a kite" in line
    assert line.endswith("…")
    assert len(line) < 150


def test_chunks_of_any_api_and_shape_are_shown() -> None:
    """Who follows a chat of another API would see nothing of it, or `relay tail` end at something odd."""
    call = {"function": {"name": "weather"}}
    for chunks, text in (
        ([{"choices": [{"delta": {"reasoning_content": "hm"}}]}], "hm"),
        ([{"choices": [{"delta": {"tool_calls": [call]}}]}], "weather()"),
        ([{"choices": [{"text": "Once "}]}, {"choices": [{"text": "upon"}]}], "Once upon"),
        ([{"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}}], "Hi"),
        ([{"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "name": "f"}}], "f()"),
        ([{"type": "response.output_text.delta", "output_index": 1, "delta": "Ho"}], "Ho"),
        ([7, {"choices": "x"}, {"choices": [{"delta": None}, 7]}, {"choices": [{"delta": {"content": [1]}}]}], ""),
    ):
        event = {"type": "relay.chat.chunk", "subject": "s", "time": "t", "data": {"chunks": chunks}}
        assert text_of(event).split("  ")[-1].strip() == text
