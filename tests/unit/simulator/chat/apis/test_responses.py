from __future__ import annotations

from random import Random
from typing import Any

import orjson
import pytest

from relay.simulator.chat.apis.responses import RESPONSES as API
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import invent
from relay.simulator.requests import InvalidSubmission
from tests.unit.simulator.chat.apis.answering import answers_of

Json = dict[str, Any]

BODY: Json = {"model": "org/m", "input": "fly a kite"}
TOOL = {"type": "function", "name": "look", "parameters": {"properties": {"place": {"type": "string"}}}}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "it flies"}


def answers(behaviour: Behaviour, **more: Any) -> tuple[list[Json], Json]:
    """The events of a stream, and the same answer in one piece."""
    return answers_of(API, BODY | more, behaviour)


SHAPES = [
    Behaviour(),
    Behaviour(tools=2),
    *(Behaviour(reasoning=style) for style in ("content", "details", "both")),
]


@pytest.mark.parametrize("behaviour", SHAPES)
def test_a_stream_and_a_document_say_the_same(behaviour: Behaviour) -> None:
    """A client would get another response streamed than in one piece."""
    events, document = answers(behaviour)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == document["output"] == events[-1]["response"]["output"]
    assert events[-1]["type"] == f"response.{document['status']}" == "response.completed"
    assert events[-1]["response"]["usage"] == document["usage"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize("behaviour", SHAPES)
def test_each_text_comes_in_pieces_and_then_whole(behaviour: Behaviour) -> None:
    """A client that joins the pieces would get another text than one that waits for the whole."""
    events, _ = answers(behaviour)
    pieces: dict[tuple[str, str], str] = {}
    for event in events:
        kind = event["type"]
        if kind.endswith(".delta"):
            key = (kind.removesuffix(".delta"), event["item_id"])
            pieces[key] = pieces.get(key, "") + event["delta"]
        elif (kind.removesuffix(".done"), event.get("item_id")) in pieces:
            whole = event.get("text", event.get("arguments"))
            assert whole == pieces.pop((kind.removesuffix(".done"), event["item_id"]))
    assert not pieces


@pytest.mark.parametrize(
    ("reasoning", "shown"), [(None, []), ({"effort": "low"}, ["content"]), ({"summary": "auto"}, ["summary"])]
)
def test_reasoning_is_shown_as_it_was_asked_for(reasoning: Json | None, shown: list[str]) -> None:
    """A client that asks for a summary would get none, or one that did not ask would."""
    items = [item for item in answers(Behaviour(), reasoning=reasoning)[1]["output"] if item["type"] == "reasoning"]
    assert [key for item in items for key in ("summary", "content") if item.get(key)] == shown


def test_a_tool_is_called_once_and_its_result_is_answered_in_words() -> None:
    """An agent would go round in circles."""
    [called] = answers(Behaviour(), tools=[TOOL])[1]["output"]
    assert (called["type"], called["name"], list(orjson.loads(called["arguments"]))) == (
        "function_call",
        "look",
        ["place"],
    )
    [said] = answers(Behaviour(echo=True), tools=[TOOL], input=[{"role": "user", "content": "fly"}, RESULT])[1][
        "output"
    ]
    assert said["content"][0]["text"] == "it flies"


def test_a_response_that_is_cut_is_incomplete() -> None:
    """A client could not tell that the answer is incomplete."""
    events, document = answers(Behaviour(chunks=9), max_output_tokens=3)
    assert (events[-1]["type"], document["status"]) == ("response.incomplete", "incomplete")
    assert document["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_failure_in_mid_stream_has_the_next_number() -> None:
    """A client that checks the numbers would see a gap."""
    request = API.read(BODY | {"stream": True})
    reply = invent(request, Behaviour(), Random(3), 1, API.ids)
    for shape, kind in (("own", b"event: error\n"), ("failed", b"event: response.failed\n")):
        [sent] = API.error_frames(shape, reply, 4)
        assert sent.startswith(kind)
        assert b'"sequence_number":4' in sent


@pytest.mark.parametrize("wrong", [{"input": []}, {"input": 3}, {"tools": [{}]}, {"max_output_tokens": 0}])
def test_an_invalid_request_is_refused_with_its_fault(wrong: Json) -> None:
    """A client's mistake would be answered like any request."""
    with pytest.raises(InvalidSubmission, match=next(iter(wrong))):
        API.read(BODY | wrong)
