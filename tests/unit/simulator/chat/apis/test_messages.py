from __future__ import annotations

from typing import Any

import orjson
import pytest

from relay.simulator.chat.apis.messages import MESSAGES as API
from relay.simulator.chat.apis.messages import input_tokens
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.requests import InvalidSubmission
from tests.unit.simulator.chat.apis.answering import answers_of

Json = dict[str, Any]

BODY: Json = {"model": "org/m", "max_tokens": 100, "messages": [{"role": "user", "content": "fly a kite"}]}
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "it flies"}]}


def answers(behaviour: Behaviour, **more: Any) -> tuple[list[Json], Json]:
    """The events of a stream, and the same answer in one piece."""
    return answers_of(API, BODY | more, behaviour)


def assembled(events: list[Json]) -> list[Json]:
    """The blocks of content, put together as Anthropic's page says."""
    blocks: list[Json] = []
    pieces: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            if delta["type"] == "input_json_delta":
                pieces[event["index"]] = pieces.get(event["index"], "") + delta["partial_json"]
            else:
                key = delta["type"].removesuffix("_delta")
                block[key] += delta[key]
    for index, whole in pieces.items():
        blocks[index]["input"] = orjson.loads(whole)
    return blocks


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(reasoning="content"), Behaviour(tools=2)])
def test_a_stream_and_a_document_say_the_same(behaviour: Behaviour) -> None:
    """A client would get another message streamed than in one piece."""
    events, document = answers(behaviour)
    assert assembled(events) == document["content"]
    assert [events[0]["type"], events[-2]["type"], events[-1]["type"]] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    assert events[-2]["delta"]["stop_reason"] == document["stop_reason"]
    assert events[-2]["usage"]["output_tokens"] == document["usage"]["output_tokens"]


def test_thinking_that_was_asked_for_comes_first_and_signed() -> None:
    """A client that shows what the model thinks would have nothing to show."""
    document = answers(Behaviour(), thinking={"type": "enabled", "budget_tokens": 1024})[1]
    thought, text = document["content"]
    assert (thought["type"], text["type"]) == ("thinking", "text")
    assert thought["thinking"]
    assert thought["signature"]


def test_a_tool_is_used_once_and_its_result_is_answered_in_words() -> None:
    """An agent would go round in circles."""
    [used] = answers(Behaviour(), tools=[TOOL])[1]["content"]
    assert (used["type"], used["name"], list(used["input"])) == ("tool_use", "look", ["place"])
    [said] = answers(Behaviour(echo=True), tools=[TOOL], messages=[*BODY["messages"], RESULT])[1]["content"]
    assert said == {"type": "text", "text": "it flies"}


def test_an_answer_that_is_cut_says_so() -> None:
    """A client could not tell that the answer is incomplete."""
    assert answers(Behaviour(chunks=9), max_tokens=3)[1]["stop_reason"] == "max_tokens"


def test_tokens_are_counted_before_a_message_is_sent() -> None:
    """A client that counts first would get another number than it is billed for."""
    assert input_tokens(BODY | {"system": "be brief"}) > input_tokens(BODY)
    assert answers(Behaviour())[1]["usage"]["input_tokens"] == input_tokens(BODY)


@pytest.mark.parametrize("wrong", [{"max_tokens": None}, {"messages": []}, {"tools": [{}]}, {"stream": "yes"}])
def test_an_invalid_request_is_refused_with_its_fault(wrong: Json) -> None:
    """A client's mistake would be answered like any request."""
    with pytest.raises(InvalidSubmission, match=next(iter(wrong))):
        API.read(BODY | wrong)
