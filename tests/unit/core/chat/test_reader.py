"""Reading a stream of chunks, in bulk or byte by byte, and what is held of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.apis.chat_completions import ChatCompletion
from relay.core.chat.reader import MAX_CHUNK, MAX_HELD, BodyReader, StreamReader


def frame(text: str, key: str = "content", **keys: Any) -> bytes:
    return b"data: %b\n\n" % orjson.dumps({"choices": [{"index": 0, "delta": {key: text}}], **keys})


def read(*pieces: bytes, **settings: Any) -> tuple[ChatCompletion, StreamReader]:
    assembly = ChatCompletion()
    reader = StreamReader(assembly, **settings)
    for piece in pieces:
        reader.read(piece)
    reader.close()
    return assembly, reader


FRAMES = (
    *(b'data: {"choices":[{"index":0,\ndata: "delta":{"content":"two"}}]}\n\n', b"data: {\rdata: }\n\n"),
    *(frame(text) for text in ("a", "b", 'q"', "\\", "\n", "ü", "", "é\u2028")),
    *(frame("r", "reasoning_content"), frame("s", "reasoning_content"), frame("u", usage={"t": 1})),
    *(b"data: [DONE]\n\n", b"data: x\n\n", b"data: {}\n\n", b": c\n\n", b'data: {"error":"e"}\n\n', b"data: 1\r\n\r\n"),
    *(b"event: error\ndata: x\n\n", b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', b"data: [1]\n\n"),
    *(b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n', b"data:\n\n", b"\n"),
)


THINKING, SAYING = [frame("r", "reasoning_content")] * 6, [frame("a")] * 6


@example([*SAYING, *THINKING, *SAYING], True, 1, [])
@example([*THINKING, *SAYING, *THINKING, b"data: [DONE]\n\n", *SAYING], True, 1, [])
@given(
    st.lists(st.sampled_from(FRAMES), max_size=40),
    st.booleans(),
    st.sampled_from([1, 6]),
    st.lists(st.floats(0, 1), max_size=3),
)
def test_in_bulk_as_frame_by_frame(stream: list[bytes], hold: bool, repeat: int, cuts: list[float]) -> None:
    """The fast path through a stream would publish something else than the slow one."""
    stream = [part for part in stream for _ in range(repeat)]
    one, single = read(*stream, hold=hold)
    whole = b"".join(stream)
    places = [0, *sorted(int(cut * len(whole)) for cut in cuts), len(whole)]
    many, bulk = read(*(whole[start:end] for start, end in pairwise(places)), hold=hold)
    assert many.choices() == one.choices()
    assert (many.usage, many.error, many.begun) == (one.usage, one.error, one.begun)
    assert (bulk.done, bulk.chunks, bulk.gaps) == (single.done, single.chunks, single.gaps)
    assert many.irregular == one.irregular
    assert bulk.token_end == single.token_end
    assert bulk.released() == single.released()


@pytest.mark.parametrize("max_text", [0, 5, 19, 20, 21, 100])
def test_in_bulk_texts_are_cut_where_they_are_cut_frame_by_frame(max_text: int) -> None:
    """How much of a long answer an event has would depend on how it was read."""
    stream = [frame("four")] * 10
    one, many = ChatCompletion(max_text=max_text), ChatCompletion(max_text=max_text)
    single, bulk = StreamReader(one), StreamReader(many)
    for part in stream:
        single.read(part)
    bulk.read(b"".join(stream))
    assert many.choices() == one.choices()
    assert (many.truncated, many.begun) == (one.truncated, one.begun) == (max_text < 40, True)


def test_chunks_are_held_as_they_were_sent() -> None:
    """Chunk events would not have the upstream's objects: other spaces, other numbers, other keys."""
    odd = b'{ "choices": [], "x": 1.0, "y": 12345678901234567890, "x": "\\u00fc" }'
    _, reader = read(b"data: %b\n\n" % odd + frame("a"))
    assert reader.released() == [(0, [odd, frame("a")[6:-2]])]
    assert (reader.released(), reader.held_bytes) == ([], 0)


def test_a_chunk_that_is_not_strict_json_is_held_as_json_that_is() -> None:
    """A consumer's parser would refuse the whole chunk event."""
    _, reader = read(b'data: {"a":"\xff","b":NaN}\n\n')
    assert reader.released() == [(0, ['{"a":"\ufffd","b":null}'.encode()])]


def test_what_is_held_is_bounded_and_what_is_missing_counted() -> None:
    """A journal that stands still would fill the memory, or leave holes that nobody sees."""
    text = "x" * (MAX_HELD // 10)
    _, reader = read(*[frame(text)] * 20)
    ((first, chunks),) = reader.released()
    assert (first, len(chunks), reader.gaps, reader.chunks) == (0, 9, 11, 20)
    assert reader.held_bytes == 0


def test_what_is_read_at_once_is_held_as_far_as_it_may() -> None:
    """All of a large piece would be a gap, since not all of it can be held."""
    text = "x" * (MAX_HELD // 10)
    _, reader = read(frame("a") + b"".join([frame(text)] * 20))
    ((first, chunks),) = reader.released()
    assert (first, len(chunks), reader.gaps, reader.chunks) == (0, 10, 11, 21)


def test_after_a_gap_begins_a_run_of_its_own() -> None:
    """The chunks after a gap would get the sequence numbers of those before it."""
    _, reader = read(frame("a"), frame("x" * MAX_CHUNK), frame("b"))
    assert reader.released() == [(0, [frame("a")[6:-2]]), (2, [frame("b")[6:-2]])]
    assert reader.gaps == 1


def test_without_content_chunks_keep_what_is_no_text() -> None:
    """Texts would leave the relay in chunk events although they may not."""
    call = {"index": 0, "id": "i", "type": "function", "function": {"name": "n", "arguments": "secret"}}
    delta = {
        "role": "assistant",
        "content": "secret",
        "reasoning_content": "secret",
        "refusal": "secret",
        "tool_calls": [call],
    }
    chunk = {
        "id": "c1",
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": "stop", "logprobs": ["secret"]}],
        "usage": {"total_tokens": 1},
        "error": {"message": "secret"},
    }
    assert ChatCompletion.without_texts(chunk) == {
        "id": "c1",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "delta": {
                    "role": "assistant",
                    "tool_calls": [{"index": 0, "id": "i", "type": "function", "function": {"name": "n"}}],
                },
            }
        ],
        "usage": {"total_tokens": 1},
    }
    assert ChatCompletion.without_texts({"choices": None, "x": "secret"}) == {}
    _, reader = read(b"".join([frame("secret")] * 50), content=False)
    ((_, chunks),) = reader.released()
    assert set(chunks) == {b'{"choices":[{"index":0,"delta":{}}]}'}
    assert len(chunks) == 50


def test_a_last_event_that_ends_with_returns_counts() -> None:
    """The last words of a stream that ends its lines with CR would be missing: the last CR may be half a CRLF."""
    assembly, reader = read(frame("a").replace(b"\n", b"\r"))
    assert (reader.chunks, assembly.choices()[0]["content"]) == (1, "a")


def test_what_comes_after_done_is_ignored() -> None:
    """Garbage behind the end would change the event of a stream that its client read as complete."""
    assembly, reader = read(frame("a"), b"data: [DONE]\n\n", frame("b"), b'data: {"error":"late"}\n\n')
    assert (reader.done, reader.chunks, assembly.error) == (True, 1, None)
    assembly, reader = read(b"".join([frame("a")] * 20 + [b"data: [DONE]\n\n"] + [frame("b")] * 20))
    assert (reader.chunks, assembly.choices()[0]["content"]) == (20, "a" * 20)


@pytest.mark.parametrize(
    "body", [b'\n\n {"choices":[{"message":{"content":"a"}}]}', b'{"choices":[{"message":{"content":"a"}}]}\n']
)
def test_blank_lines_around_a_body_are_no_harm(body: bytes) -> None:
    """Upstreams that send blank lines while they work would be reported as broken."""
    assembly = ChatCompletion()
    reader = BodyReader(assembly)
    for byte in body:
        reader.read(bytes((byte,)))
    reader.close(200)
    assert (reader.done, reader.unreadable, assembly.choices()[0]["content"]) == (True, False, "a")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"text"', b'{"cut":'])
def test_a_body_that_is_no_json_object_is_unreadable(body: bytes) -> None:
    """A gateway's error page would be published as an answer of the model."""
    reader = BodyReader(ChatCompletion())
    reader.read(body)
    reader.close(200)
    assert (reader.done, reader.unreadable) == (False, True)


def test_a_body_too_large_is_not_read() -> None:
    """One answer would fill the memory, or be reported as broken because it is large."""
    assembly = ChatCompletion()
    reader = BodyReader(assembly, max_body=10)
    for _ in range(5):
        reader.read(b"x" * 4)
    assert not reader._pieces
    reader.close(200)
    assert (reader.oversized, reader.unreadable, assembly.truncated) == (True, False, True)


def test_a_body_as_large_as_it_may_be_is_read() -> None:
    """If this fails, an answer at the limit is reported as one beyond it."""
    body = b'{"choices":[]}'
    reader = BodyReader(ChatCompletion(), max_body=len(body))
    reader.read(body)
    reader.close(200)
    assert (reader.done, reader.oversized) == (True, False)


def test_an_event_of_several_data_lines_is_held_on_one() -> None:
    """Each consumer over HTTP would get a broken frame, again at each attempt to go on behind it."""
    _, reader = read(b'data: {"a": "\\n",\ndata: "n": 12345678901234567890123}\n\n', b'data: {\rdata: "b": 1}\r\r')
    assert reader.released() == [(0, [b'{"a": "\\n", "n": 12345678901234567890123}', b'{ "b": 1}'])]
