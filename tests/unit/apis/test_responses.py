"""What a response of OpenAI's newer API says, put together."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.apis.responses import API, Response, error_frame
from relay.core.chat.events import Choice
from relay.core.chat.reader import StreamReader
from relay.core.chat.sse import MAX_EVENT
from tests.unit.apis.named import added, wire


def event(kind: str, **keys: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "sequence_number": 0, **keys}


def text(said: str, index: int = 1, padding: str | None = None) -> dict[str, Any]:
    keys = {} if padding is None else {"obfuscation": padding}
    return event("output_text.delta", item_id=f"msg_{index}", output_index=index, delta=said, logprobs=[], **keys)


def answer(status: str, output: list[Any], **keys: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "model": "org/m", "status": status, "output": output, **keys}


THOUGHT = {"id": "rs_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]}
SAID = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi there"}, {"type": "refusal", "refusal": "!"}],
}
CALL = {"id": "fc_2", "type": "function_call", "call_id": "call_2", "name": "look", "arguments": '{"q":1}'}
USAGE = {"input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 2}}
WHOLE = answer("completed", [THOUGHT, SAID, CALL], usage=USAGE)
STREAM = [
    event("created", response=answer("in_progress", [])),
    event("output_item.added", output_index=0, item=THOUGHT | {"summary": []}),
    event("reasoning_summary_text.delta", output_index=0, delta="Hm"),
    event("output_item.done", output_index=0, item=THOUGHT),
    event("output_item.added", output_index=1, item=SAID | {"content": []}),
    event("content_part.added", output_index=1, part={"type": "output_text", "text": ""}),
    text("Hi"),
    text(" there"),
    event("output_text.done", output_index=1, text="Hi there"),
    event("refusal.delta", output_index=1, delta="!"),
    event("output_item.done", output_index=1, item=SAID),
    event("output_item.added", output_index=2, item=CALL | {"arguments": ""}),
    event("function_call_arguments.delta", output_index=2, delta='{"q":'),
    event("function_call_arguments.delta", output_index=2, delta="1}"),
    event("output_item.done", output_index=2, item=CALL),
    event("completed", response=WHOLE),
]
CHOICE: Choice = {
    "index": 0,
    "role": "assistant",
    "content": "Hi there!",
    "reasoning_content": "Hm",
    "tool_calls": [
        {"index": 0, "id": "call_2", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
    ],
    "finish_reason": "completed",
}


def put_together(*chunks: dict[str, Any], **settings: Any) -> Response:
    return added(Response(**settings), *chunks)


def numbered(*chunks: dict[str, Any]) -> bytes:
    return wire(*(chunk | {"sequence_number": number} for number, chunk in enumerate(chunks)))


def test_a_stream_is_one_choice() -> None:
    """Consumers would have to know two shapes of an answer, or read each text as often as it is sent."""
    response = put_together(*STREAM)
    assert (response.completion_id, response.model, response.done, response.finished) == ("resp_1", "org/m", True, True)
    assert response.choices() == [CHOICE]
    assert response.usage == USAGE
    assert response.tokens() == {"input": 5, "output": 9, "cached": None, "cache_written": None, "reasoning": 2}


def test_what_comes_out_of_order_is_noted() -> None:
    """An upstream that leaves out the beginnings of its items would not be known to."""
    assert put_together(*STREAM).irregular == set()
    for chunk in (text("a", 0), text("a", 1), STREAM[4]):
        assert put_together(chunk).irregular == {"out_of_order"}


def test_a_body_says_the_same() -> None:
    """An answer that is not streamed would be another event."""
    response = Response()
    response.add_body(WHOLE)
    assert response.choices() == [CHOICE]


@pytest.mark.parametrize("kept", [[0, 15], [0, 3, 10, 14, 15], [0, 1, 4, 11, 15], [3, 10, 11, 15], [0, 3, 6, 7, 9, 15]])
def test_what_came_in_no_pieces_is_read_as_a_whole_and_once(kept: list[int]) -> None:
    """Of a server that sends items whole, or only the end, nothing would be recorded, or all of it twice."""
    assert put_together(*(STREAM[place] for place in kept)).choices() == [CHOICE]


@pytest.mark.parametrize(
    ("status", "details", "finish"),
    [
        ("completed", None, "completed"),
        ("incomplete", {"reason": "max_output_tokens"}, "max_output_tokens"),
        ("incomplete", [], "incomplete"),
        ("cancelled", None, "cancelled"),
    ],
)
def test_the_finish_reason_is_the_status_or_why_it_is_incomplete(status: str, details: Any, finish: str) -> None:
    """Answers that were cut short would pass for whole ones."""
    body, stream = Response(), put_together(event(status, response={"incomplete_details": details}))
    body.add_body(answer(status, [], incomplete_details=details))
    assert [each.choices()[0]["finish_reason"] for each in (body, stream)] == [finish, finish]


def test_a_response_in_the_background_says_nothing_yet() -> None:
    """An answer that is still to come would look like one that said nothing."""
    response = Response()
    response.add_body(answer("queued", [], background=True))
    assert (response.completion_id, response.empty, response.finished) == ("resp_1", True, False)


@pytest.mark.parametrize(
    "failed",
    [
        {"type": "error", "code": "server_error", "message": "Oh", "param": None},
        {"type": "error", "error": {"type": "x", "code": "server_error", "message": "Oh"}},
        {"error": {"type": "x", "code": "server_error", "message": "Oh"}},
        event("failed", response=answer("failed", [], error={"code": "server_error", "message": "Oh"})),
    ],
)
def test_errors_are_recognized(failed: dict[str, Any]) -> None:
    """A stream that broke off would pass for one that was cut."""
    error = put_together(STREAM[0], failed).error
    assert error is not None
    assert (error["code"], error["message"]) == ("server_error", "Oh")


def test_a_failure_without_an_error_is_one() -> None:
    """A response that failed would pass for completed."""
    for chunk in (event("failed", response=answer("failed", [])), event("failed"), {"type": "error"}):
        assert put_together(chunk).error == {"code": None, "type": None, "message": None}


@pytest.mark.parametrize("padding", [None, "aB3"])
@pytest.mark.parametrize("cut", range(0, 900, 13))
def test_a_long_stream_is_read_in_bulk_as_one_by_one(cut: int, padding: str | None) -> None:
    """The short way would leave out or double what the model said, or publish another's number for a chunk."""
    odd = ['"sequence_number":7', '"obfuscation":"x"', '\\"', "é\n", "\\", '{"sequence_number":1}']
    texts = [
        text(odd[number % 7] if number % 7 < 6 else str(number), padding=padding and padding[: number % 4])
        for number in range(60)
    ]
    chunks = [*STREAM[:6], *texts, *STREAM[9:]]
    stream, response = numbered(*chunks), Response()
    reader = StreamReader(response)
    reader.read(stream[:cut])
    reader.read(stream[cut:])
    assert response.choices() == put_together(*chunks).choices()
    held = [orjson.loads(chunk) for _, chunks in reader.released() for chunk in chunks]
    assert held == [chunk | {"sequence_number": number} for number, chunk in enumerate(chunks)]
    assert (reader.done, reader._template is not None) == (True, True)


@pytest.mark.parametrize(
    "bad", [b'"sequence_number":07', b'"sequence_number":', b'"sequence_number":-', b'"obfuscation":""x']
)
def test_a_frame_that_is_no_json_is_not_taken_for_one_of_its_kind(bad: bytes) -> None:
    """What is no chunk would get into an event, which no consumer could then read."""
    frames = [orjson.dumps(text(str(number), padding="") | {"sequence_number": 3}) for number in range(20)]
    for good in (b'"sequence_number":3', b'"obfuscation":""'):
        if bad.startswith(good[:8]):
            frames[10] = frames[10].replace(good, bad)
    reader = StreamReader(Response())
    reader.read(b"".join(b"event: x\ndata: %b\n\n" % frame for frame in frames))
    assert (reader.chunks, reader.gaps) == (19, 1)
    assert all(orjson.loads(chunk) for _, chunks in reader.released() for chunk in chunks)


@pytest.mark.parametrize("cut", [0, 40, 70_000, MAX_EVENT + 500])
@pytest.mark.parametrize("kind", ["completed", "failed"])
def test_an_end_that_is_too_large_to_be_read_is_an_end(kind: str, cut: int) -> None:
    """An answer with large images in it would be published as cut, since its last event has all of them again."""
    end = numbered(event(kind, response=WHOLE | {"status": kind, "padding": "x" * MAX_EVENT}))
    response = Response()
    reader = StreamReader(response)
    stream = numbered(*STREAM[:-1]) + end
    at = len(stream) - len(end) + cut
    reader.read(stream[:at])
    reader.read(stream[at:])
    assert (reader.done, reader.gaps, response.truncated) == (True, 1, True)
    assert (response.error is not None) == (kind == "failed")
    assert response.choices()[0]["finish_reason"] == ("completed" if kind == "completed" else None)


def test_interleaved_items_are_told_apart() -> None:
    """The arguments of two calls would run into one."""
    calls = [event("output_item.added", output_index=index, item=CALL | {"call_id": str(index)}) for index in (5, 3)]
    pieces = [
        event("function_call_arguments.delta", output_index=index, delta=piece)
        for index, piece in ((3, "a"), (5, "b"), (3, "c"), (9, "d"), (5, "e"))
    ]
    (choice,) = put_together(*calls, *pieces).choices()
    calls = [(call["id"], call["function"]["arguments"]) for call in choice["tool_calls"]]
    assert calls == [("5", "be"), ("3", "ac"), (None, "d")]


def test_texts_that_come_by_turns_are_joined_in_the_order_of_their_items() -> None:
    """Two texts would be mixed into one that nobody said."""
    turns = [(1, "c"), (0, "a"), (1, "d"), (0, "b")]
    (choice,) = put_together(*(text(said, index) for index, said in turns)).choices()
    assert choice["content"] == "abcd"


def test_an_item_that_ends_as_another_adds_nothing() -> None:
    """A server that mixes up its items would end the recording."""
    search = {"id": "ws_0", "type": "web_search_call", "arguments": "no"}
    begun = event("output_item.added", output_index=2, item=CALL | {"arguments": ""})
    response = put_together(begun, event("output_item.done", output_index=2, item=search))
    assert [call["function"]["arguments"] for call in response.choices()[0]["tool_calls"]] == [""]


def test_an_event_without_a_place_is_of_the_first_item() -> None:
    """Of a server that leaves it out, a call would lose its arguments."""
    begun = event("output_item.added", item=CALL | {"arguments": ""})
    response = put_together(begun, event("function_call_arguments.delta", output_index=0, delta="{}"))
    assert [call["function"]["arguments"] for call in response.choices()[0]["tool_calls"]] == ["{}"]


def test_calls_of_other_kinds_are_calls() -> None:
    """What a model asked of an MCP server or a tool without a schema would not be recorded."""
    response = Response()
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "run", "input": "ls"}
    mcp = {"type": "mcp_call", "id": "mcp_1", "name": "find", "arguments": "{}", "output": "secret"}
    response.add_body(answer("completed", [custom, mcp, {"type": "web_search_call", "id": "ws_1"}]))
    calls = response.choices()[0]["tool_calls"]
    assert [(call["id"], call["type"], *call["function"].values()) for call in calls] == [
        ("call_1", "custom_tool_call", "run", "ls"),
        ("mcp_1", "mcp_call", "find", "{}"),
    ]


@pytest.mark.parametrize(
    "chunk",
    [
        text(""),
        text("x", 2),
        event("audio.delta", output_index=1, delta="x"),
        event("function_call_arguments.delta", output_index=1, delta="x"),
        event("output_text.delta", output_index=[], delta="x"),
    ],
)
def test_only_a_text_of_an_item_that_is_read_is_taken_for_one(chunk: dict[str, Any]) -> None:
    """Chunks that add nothing, or more than a text, would be read as texts: their content would be wrong."""
    response = put_together(text("a"))
    assert response.only_text(text("b")) is not None
    assert response.only_text(chunk) is None


@pytest.mark.parametrize("usage", [None, {}, [], "x", 7])
def test_what_holds_no_counts_is_not_taken_for_usage(usage: Any) -> None:
    """An answer would be billed by what an upstream put where its counts belong."""
    assert put_together(event("completed", response=answer("completed", [], usage=usage))).usage is None


def test_without_texts_nothing_of_them_is_left() -> None:
    """What a model said would leave relay although content is not captured."""
    for chunk in STREAM:
        bare = str(Response.without_texts(chunk))
        assert not any(said in bare for said in ("Hm", "Hi", "there", "!", "q"))
    assert Response.without_texts(STREAM[-1])["response"]["usage"] == USAGE


def test_more_items_than_any_answer_has_are_left_out_and_marked() -> None:
    """One endless stream would fill the memory."""
    response = put_together(*(text("x", index) for index in range(3000)))
    assert response.truncated
    assert (len(response._read), response.choices()[0]["content"]) == (1024, "x" * 1024)
    calls = [event("output_item.added", output_index=index, item=CALL | {"id": str(index)}) for index in range(3000)]
    ends = [event("output_item.done", output_index=index, item=CALL | {"id": str(index)}) for index in (3, 2000)]
    response = put_together(*calls, *ends)
    assert response.truncated
    assert (len(response._ids), len(response._calls)) == (1024, 1024)


def test_errors_of_relays_own_are_events() -> None:
    """SDKs would not raise what relay has to say about a stream."""
    name, data, *_ = error_frame(503, "draining", "Bye.").split(b"\n")
    sent = orjson.loads(data.removeprefix(b"data: "))
    assert (name, sent["type"], sent["message"], sent["error"]["message"]) == (b"event: error", "error", "Bye.", "Bye.")
    assert sent["sequence_number"] == 0
    assert (API.said.messages, API.said.system) == ("input", "instructions")


scalars = st.sampled_from([None, True, 0, -1, 1.5, "", "x", "failed", "message", [], {}, [None], ["x"], {"text": "x"}])
values = scalars | st.lists(scalars, max_size=2)
kinds = st.sampled_from([chunk["type"] for chunk in STREAM] + ["error", "response.failed", "response.x"])


def like(keys: str, inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(keys.split()), inner | values, max_size=6)


items = like("id type role content summary call_id name arguments", st.sampled_from(["message", "function_call"]))
responses = like("id model status output usage error incomplete_details", st.lists(items, max_size=3))
chunks = like("output_index item part delta response error code message", items | responses)


@given(st.lists(st.tuples(kinds | values, chunks), max_size=5), st.booleans())
def test_anything_can_be_put_together(stream: list[tuple[Any, dict[str, Any]]], content: bool) -> None:
    """One odd chunk would raise, and the stream would have no ending."""
    response = Response(content=content)
    for kind, chunk in stream:
        response.add({**chunk, "type": kind})
        response.only_text({**chunk, "type": kind})
        response.add_body(chunk)
        Response.without_texts(chunk)
    assert all(set(choice) == set(Choice.__annotations__) for choice in response.choices())
