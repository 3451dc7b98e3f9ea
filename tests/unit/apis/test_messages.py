"""What a message of Anthropic's API says, put together."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from relay.apis.messages import API, Message, error_body, error_frame
from relay.core.chat.events import Choice
from relay.core.chat.reader import StreamReader
from tests.unit.apis.named import added, wire


def event(kind: str, **keys: Any) -> dict[str, Any]:
    return {"type": kind, **keys}


def delta(index: int, kind: str, **text: str) -> dict[str, Any]:
    return event("content_block_delta", index=index, delta={"type": kind, **text})


def begin(index: int, kind: str, **keys: Any) -> dict[str, Any]:
    return event("content_block_start", index=index, content_block={"type": kind, **keys})


START = event(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "org/m",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1},
    },
)
END = event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 9, "input_tokens": None})
STOP = event("message_stop")
STREAM = [
    START,
    begin(0, "thinking", thinking=""),
    delta(0, "thinking_delta", thinking="Hm"),
    delta(0, "signature_delta", signature="c2ln"),
    begin(1, "text", text=""),
    delta(1, "text_delta", text="Hi"),
    delta(1, "text_delta", text=" there"),
    begin(2, "tool_use", id="toolu_1", name="look", input={}),
    delta(2, "input_json_delta", partial_json=""),
    delta(2, "input_json_delta", partial_json='{"q":1}'),
    event("content_block_stop", index=2),
    event("ping"),
    END,
    STOP,
]
CHOICE: Choice = {
    "index": 0,
    "role": "assistant",
    "content": "Hi there",
    "reasoning_content": "Hm",
    "tool_calls": [
        {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
    ],
    "finish_reason": "tool_use",
}


def put_together(*chunks: dict[str, Any], **settings: Any) -> Message:
    return added(Message(**settings), *chunks)


def test_a_stream_is_one_choice() -> None:
    """Consumers would have to know two shapes of an answer."""
    message = put_together(*STREAM)
    assert (message.completion_id, message.model, message.done, message.finished) == ("msg_1", "org/m", True, True)
    assert message.choices() == [CHOICE]
    assert message.usage == {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 9}
    assert message.tokens() == {"input": 8, "output": 9, "cached": 3, "cache_written": None, "reasoning": None}


def test_a_body_says_the_same() -> None:
    """An answer that is not streamed would be another event."""
    message = Message()
    message.add_body(
        START["message"]
        | {
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
                {"type": "text", "text": "Hi there"},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"q": 1}},
            ],
            "stop_reason": "tool_use",
        }
    )
    assert message.choices() == [CHOICE]


def test_a_body_without_a_role_or_without_content_is_a_message() -> None:
    """An answer of a server that is nearly compatible would be taken for an error."""
    for body, said in (({"content": [{"type": "text", "text": "a"}]}, (None, "a")), ({"role": "r"}, ("r", None))):
        message = Message()
        message.add_body(body)
        (choice,) = message.choices()
        assert ((choice["role"], choice["content"]), message.error) == (said, None)


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_long_stream_is_read_in_bulk_as_one_by_one(cut: int) -> None:
    """The short way would leave out or double what the model said."""
    texts = [delta(1, "text_delta", text=f"é{number}\n") for number in range(60)]
    stream = wire(*STREAM[:5], *texts, *STREAM[7:])
    message = Message()
    reader = StreamReader(message)
    reader.read(stream[:cut])
    reader.read(stream[cut:])
    assert message.choices() == put_together(*STREAM[:5], *texts, *STREAM[7:]).choices()
    assert (reader.done, reader.chunks, reader.gaps) == (True, len(STREAM) + 58, 0)
    assert sum(len(chunks) for _, chunks in reader.released()) == reader.chunks


def test_the_short_way_is_taken() -> None:
    """Every frame would be parsed, and a stream cost several times as much."""
    message = Message()
    reader = StreamReader(message)
    reader.read(wire(*STREAM[:5], *[delta(1, "text_delta", text=str(number)) for number in range(20)]))
    assert reader._template is not None


@pytest.mark.parametrize(
    "chunks",
    [
        [{}],
        [{"type": None}, {"type": 7}, {"type": "no_such_event", "index": 0}],
        [event("content_block_delta")],
        [event("content_block_delta", index="0", delta=None), begin(0, "text", text=None)],
        [event("content_block_start", index=0, content_block=[])],
        [event("message_start", message=None), event("message_delta", delta=None, usage=[])],
        [
            event("content_block_delta", index=0, delta={"type": []}),
            event("content_block_start", content_block={"type": {}}),
        ],
        [begin(0, "tool_use"), delta(0, "input_json_delta"), delta(0, "no_such_delta", text="x")],
    ],
)
def test_whatever_a_chunk_holds_breaks_nothing(chunks: list[dict[str, Any]]) -> None:
    """A stream of a server that is nearly compatible would lose its recording."""
    message = put_together(*chunks)
    assert not message.finished
    assert all(choice["content"] in (None, "") for choice in message.choices())
    for chunk in chunks:
        assert "text" not in Message.without_texts(chunk)


def test_a_block_that_was_not_announced_is_read_by_its_deltas() -> None:
    """An index that jumps would cost the texts of the block."""
    message = put_together(delta(7, "text_delta", text="a"), delta(9, "input_json_delta", partial_json="{}"))
    (choice,) = message.choices()
    assert (choice["content"], choice["tool_calls"][0]["function"]["arguments"]) == ("a", "{}")


def test_blocks_that_come_by_turns_are_joined_in_their_order() -> None:
    """Two texts would be mixed into one that nobody said."""
    turns = [(1, "c"), (0, "a"), (1, "d"), (0, "b")]
    (choice,) = put_together(*(delta(index, "text_delta", text=text) for index, text in turns)).choices()
    assert choice["content"] == "abcd"


def test_an_input_that_came_whole_is_not_doubled_by_its_pieces() -> None:
    """Arguments would be no JSON."""
    given = begin(0, "tool_use", id="t", name="f", input={"a": 1})
    assert put_together(given).choices()[0]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'
    pieces = [delta(0, "input_json_delta", partial_json=piece) for piece in ("", '{"a":', "1}")]
    assert put_together(given, *pieces).choices()[0]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'


def test_an_error_is_recognized() -> None:
    """A stream that broke off would pass for one that was cut."""
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    assert put_together(START, error).error == {"code": None, "type": "overloaded_error", "message": "Overloaded"}


def test_without_texts_nothing_of_them_is_left() -> None:
    """What a model said would leave relay although content is not captured."""
    for chunk in STREAM:
        bare = str(Message.without_texts(chunk))
        assert not any(text in bare for text in ("Hm", "Hi", "there", "c2ln", '{"q"'))
    assert Message.without_texts(END)["usage"] == END["usage"]


def test_more_blocks_than_any_answer_has_are_left_out_and_marked() -> None:
    """One endless stream would fill the memory."""
    message = put_together(*(begin(index, "tool_use", id=str(index), name="f") for index in range(3000)))
    assert message.truncated
    assert len(message._blocks) <= 1024
    message = put_together(*(begin(0, "tool_use", id=str(index), name="f") for index in range(3000)))
    message.add(delta(1, "input_json_delta", partial_json="{}"))
    assert (len(message.choices()[0]["tool_calls"]), len(message._blocks)) == (1024, 1)
    message = put_together(*(begin(index, "text", text="") for index in range(3000)), delta(7, "text_delta", text="a"))
    assert (message.truncated, len(message._blocks)) == (True, 1024)
    for more in (delta(5000, "input_json_delta", partial_json="{}"), begin(5001, "tool_use", id="t", name="f")):
        message.add(more)
        assert len(message._blocks) == 1024
    assert message.choices()[0]["content"] == "a"


def test_a_place_that_is_taken_again_is_another_block() -> None:
    """What an input that came whole is to forget would be cut from a text."""
    given = begin(0, "tool_use", id="t", name="f", input={"a": 1})
    (choice,) = put_together(given, begin(0, "text", text="x"), delta(0, "text_delta", text="y")).choices()
    assert choice["content"] == "xy"


def test_the_input_is_counted_with_what_a_cache_had_to_do_with() -> None:
    """Clients would be billed for tokens that nobody sent, or not for those from a cache."""
    cached, written = {"cache_read_input_tokens": 3}, {"cache_creation_input_tokens": 4}
    for more, expected in (({}, 5), (cached, 8), (written, 9), (cached | written, 12)):
        assert put_together(event("message_delta", usage={"input_tokens": 5} | more)).tokens()["input"] == expected


@pytest.mark.parametrize(
    "odd", [{"index": []}, {"delta": 7}, {"delta": {"type": "text_delta", "text": ""}}, {"index": 8}]
)
def test_only_a_text_of_a_block_that_has_begun_is_taken_for_one(odd: dict[str, Any]) -> None:
    """Chunks that add nothing, or more than a text, would be read as texts: their content would be wrong."""
    chunk = delta(0, "text_delta", text="a")
    message = put_together(chunk)
    assert message.only_text(chunk) is not None
    assert message.only_text(chunk | odd) is None
    assert message.only_text([chunk]) is None


def test_errors_of_relays_own_have_anthropics_shape() -> None:
    """Anthropic's SDKs would raise an error without its message."""
    assert orjson.loads(error_body(429, "too_many_chats", "Wait.")) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "Wait.", "code": "too_many_chats"},
    }
    for status, kind in ((400, "invalid_request_error"), (500, "api_error"), (502, "api_error")):
        assert orjson.loads(error_body(status, "c", "m"))["error"]["type"] == kind
    assert error_frame(503, "draining", "Bye.").startswith(b'event: error\ndata: {"type":"error"')
    assert API.said.system == "system"
