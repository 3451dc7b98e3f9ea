from __future__ import annotations

from typing import Any

import pytest

from relay.simulator.chat.request import read
from relay.simulator.requests import InvalidSubmission

TOOL = {"type": "function", "function": {"name": "look"}}
OTHER = {"type": "function", "function": {"name": "listen"}}


def body(**more: Any) -> dict[str, Any]:
    return {"model": "org/m", "messages": [{"role": "user", "content": "fly a kite"}], **more}


def test_a_plain_request_asks_for_one_answer_in_one_piece() -> None:
    """The defaults of the API would not be those of the simulator."""
    asked = read(body())
    assert (asked.model, asked.stream, asked.choices, asked.max_tokens) == ("org/m", False, 1, None)
    assert asked.include_usage, "an answer in one piece always has it"
    assert (asked.prompt, asked.tools, asked.reasons) == ("fly a kite", (), "")


def test_a_stream_has_usage_only_if_it_was_asked_for() -> None:
    """Every stream would have a usage chunk, and a proxy that needs one would never miss it."""
    assert not read(body(stream=True)).include_usage
    assert read(body(stream=True, stream_options={"include_usage": True})).include_usage


@pytest.mark.parametrize(
    ("more", "called"),
    [
        ({"tools": [TOOL, OTHER]}, ["look", "listen"]),
        ({"tools": [TOOL], "tool_choice": "none"}, []),
        ({"tools": [TOOL, OTHER], "tool_choice": {"type": "function", "function": {"name": "listen"}}}, ["listen"]),
        ({"tools": [TOOL], "messages": [{"role": "tool", "content": "7", "tool_call_id": "c"}]}, []),
    ],
)
def test_tools_are_called_when_a_model_would_call_them(more: dict[str, Any], called: list[str]) -> None:
    """A conversation with tools would go round in circles, or never call one."""
    assert [function["name"] for function in read(body(**more)).tools] == called


@pytest.mark.parametrize(
    ("model", "more", "style"),
    [
        ("deepseek/deepseek-r1-turbo", {}, "think"),
        ("deepseek/deepseek-r1-turbo", {"separate_reasoning": True}, "content"),
        ("zai-org/glm-4.5", {}, "content"),
        ("zai-org/glm-4.5", {"enable_thinking": False}, ""),
        ("moonshotai/kimi-k2-thinking", {}, "details"),
    ],
)
def test_each_model_shows_its_reasoning_in_its_style(model: str, more: dict[str, Any], style: str) -> None:
    """A style of reasoning would never be met without a header that asks for it."""
    assert read(body(model=model, **more)).reasons == style


def test_a_message_in_parts_is_read() -> None:
    """A request with a picture would have no prompt."""
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]
    assert read(body(messages=[{"role": "user", "content": parts}])).prompt.strip() == "look"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": 3}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"n": 129}, "n is not"),
        ({"n": True}, "n is not"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"tools": [{}]}, "tools"),
        ({"stream_options": 3}, "stream_options"),
    ],
)
def test_an_invalid_request_is_refused_with_its_fault(wrong: dict[str, Any], message: str) -> None:
    """A client's mistake would be answered like any request."""
    with pytest.raises(InvalidSubmission, match=message):
        read(body(**wrong))
