from __future__ import annotations

from random import Random
from typing import Any

import orjson
import pytest

from relay.simulator.chat.apis.api import DONE
from relay.simulator.chat.apis.chat_completions import document, error_frames, read, stream
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import invent
from relay.simulator.requests import InvalidSubmission

Json = dict[str, Any]


def request(**more: Any) -> Json:
    return {"model": "org/m", "messages": [{"role": "user", "content": "fly a kite"}], "stream": True, **more}


def frames_of(behaviour: Behaviour, *, seed: int = 3, **more: Any) -> list[bytes]:
    asked = read(request(**more))
    rng = Random(seed)
    return list(stream(invent(asked, behaviour, rng, 1_700_000_000), asked, behaviour, rng))


def chunks_of(frames: list[bytes]) -> list[Json]:
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames if b"[DONE]" not in frame]


def deltas_of(frames: list[bytes], index: int = 0) -> list[Json]:
    choices = [choice for chunk in chunks_of(frames) for choice in chunk["choices"] or []]
    return [choice["delta"] for choice in choices if choice["index"] == index]


def test_each_frame_is_one_data_line_and_one_blank_line() -> None:
    """The framing would not be the one that was captured."""
    frames = frames_of(Behaviour(echo=True))
    assert all(frame.startswith(b"data: ") and frame.endswith(b"\n\n") for frame in frames)
    assert all(frame.count(b"\n") == 2 for frame in frames)
    assert frames[-1] == DONE == b"data: [DONE]\n\n"


def test_a_chunk_has_the_keys_that_were_captured() -> None:
    """A parser would be tested against another API than the one that it meets."""
    chunks = chunks_of(frames_of(Behaviour(echo=True)))
    for chunk in chunks:
        assert list(chunk) == ["id", "object", "created", "model", "choices", "system_fingerprint"], "no usage key"
        [choice] = chunk["choices"]
        assert list(choice) == ["index", "delta", "finish_reason", "content_filter_results"]
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}


def test_fillers_come_in_mid_stream() -> None:
    """Empty deltas, four of seven chunks in one capture, would never be met."""
    deltas = deltas_of(frames_of(Behaviour(chunks=100)))
    assert 2 < deltas[1:-1].count({}) < 30
    assert len(deltas) > 100


@pytest.mark.parametrize(("finish", "last"), [("alone", {}), ("joined", {"content": " kite"})])
def test_the_end_stands_alone_or_with_content(finish: str, last: Json) -> None:
    """Content on the chunk with the finish reason, or a chunk with nothing else, would never be met."""
    *others, end = chunks_of(frames_of(Behaviour(echo=True, finish=finish)))
    assert (end["choices"][0]["delta"], end["choices"][0]["finish_reason"]) == (last, "stop")
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in others)


def test_usage_that_was_asked_for_is_a_chunk_of_its_own() -> None:
    """The usage of a stream would come where the vendor does not send it."""
    *others, last = chunks_of(frames_of(Behaviour(echo=True), stream_options={"include_usage": True}))
    assert all(chunk["usage"] is None for chunk in others)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 3
    assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + 3
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


def test_usage_can_stand_on_the_chunk_of_the_end() -> None:
    """The form of the AsyncAPI description would never be met."""
    chunks = chunks_of(frames_of(Behaviour(echo=True, usage="finish"), stream_options={"include_usage": True}, n=2))
    assert [chunk for chunk in chunks if "usage" in chunk] == [chunks[-1]]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("style", "keys"),
    [
        ("content", {"content", "reasoning_content"}),
        ("details", {"content", "reasoning_details"}),
        ("both", {"content", "reasoning_content", "reasoning_details"}),
    ],
)
def test_reasoning_comes_in_each_style(style: str, keys: set[str]) -> None:
    """A style of reasoning would be lost in the event, unseen."""
    deltas = deltas_of(frames_of(Behaviour(reasoning=style)))
    reasoning = [delta for delta in deltas if len(delta) > 1]
    assert reasoning
    assert all(set(delta) == keys for delta in reasoning)


def test_tool_calls_come_by_index_in_pieces() -> None:
    """The assembly of tool calls would only ever see whole ones."""
    deltas = deltas_of(frames_of(Behaviour(tools=2)))
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [call["index"] for call in calls] == sorted(call["index"] for call in calls)
    assert {call["index"] for call in calls} == {0, 1}
    assert next(sorted(call) for call in calls if call["index"] == 1) == ["function", "id", "index", "type"]
    assert "id" not in calls[-1]


def test_choices_are_mixed() -> None:
    """Several choices would come one after the other, and never mixed as they do."""
    order = [chunk["choices"][0]["index"] for chunk in chunks_of(frames_of(Behaviour(chunks=5), n=3))]
    assert order[:6] == [0, 1, 2, 0, 1, 2]


def test_what_nobody_documents_can_be_sent() -> None:
    """A parser that knows its keys too well would not be caught."""
    chunks = chunks_of(frames_of(Behaviour(unknown_keys=True, null_choices=True)))
    assert None in [chunk["choices"] for chunk in chunks]
    assert any("provider_hints" in chunk for chunk in chunks)


@pytest.mark.parametrize(
    ("done", "last"),
    [("event", b"event: data\ndata: [DONE]\n\n"), ("alone", DONE)],
)
def test_done_has_its_variants(done: str, last: bytes) -> None:
    """Servers that end a stream in another way could not be simulated."""
    frames = frames_of(Behaviour(done=done))
    assert frames[-1] == last
    assert (len(frames) == 1) is (done == "alone")


def test_a_stream_can_end_without_done() -> None:
    """A stream that is complete but for its ``[DONE]`` would never be met."""
    frames = frames_of(Behaviour(done="absent"))
    assert chunks_of(frames)[-1]["choices"][0]["finish_reason"] == "stop"
    assert DONE not in frames


@pytest.mark.parametrize(
    ("shape", "has"),
    [
        ("openai", b'data: {"error":{"message"'),
        ("text", b'data: {"error":"'),
        ("event", b"event: error\ndata: {"),
        ("openrouter", b'"finish_reason":"error"'),
        ("flat", b'data: {"code":500,"reason":"'),
        ("deepinfra", b'"choices":null'),
        ("vllm", b"data: [DONE]"),
    ],
)
def test_each_server_has_its_shape_of_error(shape: str, has: bytes) -> None:
    """An error in mid-stream would be taken for a chunk, unseen."""
    reply = invent(read(request()), Behaviour(), Random(1), 1)
    sent = b"".join(error_frames(shape, reply, 3))
    assert has in sent
    assert sent.endswith(b"\n\n")


def test_a_document_says_what_the_stream_says() -> None:
    """The two forms of one answer would differ."""
    behaviour = Behaviour(reasoning="both")
    reply = invent(read(request(n=2)), behaviour, Random(1), 1)
    said = orjson.loads(document(reply, behaviour))
    assert said["object"] == "chat.completion"
    assert said["usage"]["completion_tokens_details"] is None
    for choice, message in zip(reply.choices, said["choices"], strict=True):
        assert message["message"]["content"] == "".join(choice.content)
        assert message["message"]["reasoning_content"] == "".join(choice.reasoning)
        assert message["finish_reason"] == choice.finish_reason
    called = orjson.loads(document(invent(read(request()), Behaviour(tools=1), Random(1), 1), behaviour))
    assert called["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "look_up"


TOOL = {"type": "function", "function": {"name": "look"}}
OTHER = {"type": "function", "function": {"name": "listen"}}


def test_a_plain_request_asks_for_one_answer_in_one_piece() -> None:
    """The defaults of the API would not be those of the simulator."""
    asked = read({"model": "org/m", "messages": [{"role": "user", "content": "fly a kite"}]})
    assert (asked.model, asked.stream, asked.choices, asked.max_tokens) == ("org/m", False, 1, None)
    assert asked.include_usage, "an answer in one piece always has it"
    assert (asked.prompt, asked.tools, asked.reasons) == ("fly a kite", (), "")


def test_a_stream_has_usage_only_if_it_was_asked_for() -> None:
    """Every stream would have a usage chunk, and a proxy that needs one would never miss it."""
    assert not read(request(stream=True)).include_usage
    assert read(request(stream=True, stream_options={"include_usage": True})).include_usage


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
    assert [function["name"] for function in read(request(**more)).tools] == called


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
    assert read(request(model=model, **more)).reasons == style


def test_a_message_in_parts_is_read() -> None:
    """A request with a picture would have no prompt."""
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]
    assert read(request(messages=[{"role": "user", "content": parts}])).prompt.strip() == "look"


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
        read(request(**wrong))
