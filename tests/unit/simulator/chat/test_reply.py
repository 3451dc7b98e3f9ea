from __future__ import annotations

from random import Random
from typing import Any

import orjson
import pytest

from relay.simulator.chat.apis.chat_completions import read
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import Reply, invent


def said(behaviour: Behaviour | None = None, *, seed: int = 1, **more: Any) -> Reply:
    body = {"model": "org/m", "messages": [{"role": "user", "content": "fly a kite"}], **more}
    return invent(read(body), behaviour or Behaviour(), Random(seed), 1_700_000_000)


def test_equal_requests_are_answered_alike_and_others_are_not() -> None:
    """A failed run could not be repeated."""
    assert said() == said()
    assert said() != said(seed=2)


@pytest.mark.parametrize(
    ("behaviour", "content"),
    [
        (Behaviour(echo=True), ("fly", " a", " kite")),
        (Behaviour(chunks=3, size=5), ("xxxxx", "xxxxx", "xxxxx")),
    ],
)
def test_the_content_can_be_dictated(behaviour: Behaviour, content: tuple[str, ...]) -> None:
    """A test could not know what it has to find in the event."""
    assert said(behaviour).choices[0].content == content


def test_a_long_answer_has_as_many_pieces_as_requested() -> None:
    """A load of 200 chunks would be another load."""
    reply = said(Behaviour(chunks=5000))
    assert len(reply.choices[0].content) == reply.completion_tokens == 5000


def test_an_answer_ends_at_max_tokens() -> None:
    """``finish_reason: length`` would never be met without asking for it."""
    choice = said(Behaviour(chunks=10), max_tokens=4).choices[0]
    assert (len(choice.content), choice.finish_reason) == (4, "length")


@pytest.mark.parametrize(("word", "expected"), [("absent", None), ("empty", ""), ("content_filter", "content_filter")])
def test_the_reason_for_the_end_can_be_dictated(word: str, expected: str | None) -> None:
    """Servers that give none, or an empty one, could not be simulated."""
    assert said(Behaviour(finish_reason=word)).choices[0].finish_reason == expected


def test_each_choice_says_its_own() -> None:
    """A proxy that mixes choices up would not be caught."""
    assert len({choice.content for choice in said(n=3).choices}) == 3


def test_a_tool_is_called_with_arguments_of_its_schema() -> None:
    """An SDK that validates arguments would refuse every call."""
    properties = {
        "place": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["C", "F"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    }
    function = {"name": "weather", "parameters": {"type": "object", "properties": properties}}
    reply = said(tools=[{"type": "function", "function": function}])
    [choice] = reply.choices
    [call] = choice.tool_calls
    arguments = orjson.loads("".join(call.arguments))
    assert (call.name, choice.finish_reason, choice.content) == ("weather", "tool_calls", ())
    assert set(arguments) == set(properties)
    assert isinstance(arguments["days"], int)
    assert len(call.arguments) > 1, "arguments come in pieces"


def test_reasoning_comes_beside_the_content_or_within_it() -> None:
    """One of the styles would be the other."""
    beside = said(Behaviour(reasoning="content")).choices[0]
    within = said(Behaviour(reasoning="think")).choices[0]
    assert beside.reasoning
    assert not within.reasoning
    assert within.content[0] == "<think>\n"
    assert "\n</think>\n\n" in within.content
