"""What of a request goes into its events."""

from __future__ import annotations

from typing import Any

from relay.core.chat_request import MAX_MESSAGES, request_data

REQUEST: dict[str, Any] = {
    "model": "org/m",
    "messages": [{"role": "user", "content": "secret words"}, {"role": "user", "content": "more"}],
    "tools": [{"type": "function", "function": {"name": "look"}}],
    "stream": True,
    "temperature": 0.5,
    "max_tokens": 10,
    "stop": ["secret words"],
    "user": "secret words",
    "tool_choice": "auto",
    "reasoning_effort": "secret words",
    "stream_options": {"include_usage": True},
    "response_format": {"type": "json_schema", "json_schema": {"name": "secret words"}},
    "enable_thinking": False,
    "secret words": 1,
    "metadata": {"x": "secret words"},
}


def test_metadata_has_parameters_and_counts_and_no_texts() -> None:
    """What people wrote would leave the relay although only metadata may."""
    told = request_data(REQUEST, 900, "metadata")
    assert told == {
        "parameters": {
            "stream": True,
            "temperature": 0.5,
            "max_tokens": 10,
            "tool_choice": "auto",
            "enable_thinking": False,
            "include_usage": True,
            "response_format": "json_schema",
        },
        "messages_count": 2,
        "tools_count": 1,
        "bytes": 900,
        "messages": None,
        "tools": None,
    }
    assert "secret words" not in str(told)


def test_full_has_the_messages_too() -> None:
    """Who asked for the whole request would not get it."""
    told = request_data(REQUEST, 900, "full")
    assert told is not None
    assert (told["messages"], told["tools"]) == (REQUEST["messages"], REQUEST["tools"])


def test_none_has_nothing() -> None:
    """A request would be told although nothing of it may be."""
    assert request_data(REQUEST, 900, "none") is None


def test_messages_too_large_for_an_event_are_left_out() -> None:
    """One request with an image in it would make events that no broker takes."""
    told = request_data({"messages": ["x" * MAX_MESSAGES]}, 300_000, "full")
    assert told is not None
    assert (told["messages"], told["messages_count"], told["bytes"]) == (None, 1, 300_000)


def test_odd_requests_are_told_as_far_as_they_go() -> None:
    """A request that the upstream will refuse would fail in the relay instead."""
    told = request_data({"messages": "x", "tools": {}, "stream_options": [], "response_format": []}, 5, "full")
    assert told is not None
    assert (told["messages_count"], told["tools_count"], told["messages"], told["parameters"]) == (None, 0, None, {})
    many = request_data({f"k{number}": 1 for number in range(500)}, 5, "metadata")
    assert many is not None
    assert len(many["parameters"]) == 64
