from __future__ import annotations

from random import Random
from typing import Any

import orjson

from relay.simulator.chat.apis.completions import COMPLETIONS as API
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import invent

Json = dict[str, Any]


def answers(behaviour: Behaviour, **more: Any) -> tuple[list[Json], Json]:
    """The chunks of a stream, and the same answer in one piece."""
    request = API.read({"model": "org/m", "prompt": "fly a kite", "stream": True, **more})
    reply = invent(request, behaviour, Random(3), 1_700_000_000, API.ids)
    frames = list(API.stream(reply, request, behaviour, Random(3)))
    assert frames[-1] == b"data: [DONE]\n\n"
    return [orjson.loads(frame[6:]) for frame in frames[:-1]], orjson.loads(API.document(reply, behaviour))


def test_a_stream_and_a_document_say_the_same_to_each_prompt() -> None:
    """A client would get another text streamed than in one piece."""
    chunks, document = answers(Behaviour(), prompt=["one", "two"], n=2)
    said = dict.fromkeys(range(4), "")
    for chunk in chunks:
        for choice in chunk["choices"]:
            said[choice["index"]] += choice["text"]
    assert said == {choice["index"]: choice["text"] for choice in document["choices"]}
    assert document["object"] == chunks[0]["object"] == "text_completion"


def test_the_end_stands_alone_or_with_text() -> None:
    """Text on the chunk with the finish reason would never be met."""
    for finish, text in (("alone", ""), ("joined", " kite")):
        *others, last = answers(Behaviour(echo=True, finish=finish))[0]
        assert last["choices"][0]["text"] == text
        assert [chunk["choices"][0]["finish_reason"] for chunk in others] == [None] * len(others)


def test_usage_comes_where_it_was_asked_for() -> None:
    """A stream's usage would come unasked, or never."""
    assert all("usage" not in chunk for chunk in answers(Behaviour())[0])
    asked = {"stream_options": {"include_usage": True}}
    alone = answers(Behaviour(echo=True), **asked)[0][-1]
    assert (alone["choices"], alone["usage"]["completion_tokens"]) == ([], 3)
    joined = answers(Behaviour(echo=True, usage="finish"), **asked)[0][-1]
    assert (joined["choices"][0]["finish_reason"], joined["usage"]["completion_tokens"]) == ("stop", 3)
