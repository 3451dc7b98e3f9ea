"""The tap of a stream: which events it makes of the bytes that it is fed, and when."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from relay.apis import apis
from relay.apis.chat_completions import API as CHAT_COMPLETIONS
from relay.core.chat.events import ChatData, Opening, started_draft
from relay.core.chat.outcome import Ending
from relay.core.chat.recovery import closed_by_restart
from relay.core.chat.sse import is_border
from relay.core.chat.tap import Capture, ChunkEvents, Closed, Tap
from relay.core.dedup import judge
from relay.core.event import Draft

OPENING = Opening("s1", 1_700_000_000_000, 100.0, model="asked", client="web")
VALIDATOR = Draft202012Validator(TypeAdapter(ChatData).json_schema())


def frame(delta: dict[str, Any] | None = None, **keys: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": None}]
    return b"data: %b\n\n" % orjson.dumps({"id": "c1", "model": "org/m", "choices": choices, **keys})


def said(text: str) -> bytes:
    return frame({"content": text})


FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


def tap(**capture: Any) -> Tap:
    made = Tap(OPENING, Capture(**capture), CHAT_COMPLETIONS)
    made.answered(200, "text/event-stream; charset=utf-8")
    return made


def ended(*pieces: bytes, ending: Ending = "end", **capture: Any) -> Closed:
    made = tap(**capture)
    for number, piece in enumerate(pieces, 1):
        made.feed(piece, 100.0 + number)
    closed = made.end(ending, 101.0 + len(pieces))
    VALIDATOR.validate(orjson.loads(closed.terminal.event.data))
    assert orjson.loads(closed.terminal.event.data) == closed.data
    return closed


def sequences(drafts: list[Draft]) -> list[tuple[int, int]]:
    """First sequence and number of chunks of each chunk event."""
    published = [orjson.loads(draft.event.data) for draft in drafts]
    return [(data["first_sequence"], len(data["chunks"])) for data in published]


def test_a_whole_stream() -> None:
    """The one event that everything is for would be missing or wrong."""
    closed = ended(frame({"role": "assistant"}), said("Hi"), said(" there"), FINISH, USAGE, DONE)
    data = closed.data
    assert (closed.terminal.event.type, closed.terminal.event.id) == ("relay.chat.completed", "s1:completed")
    assert closed.terminal.event.time == "2023-11-14T22:13:27.000Z"
    assert data["choices"][0]["content"] == "Hi there"
    assert (data["usage"], data["usage_source"], data["chunks"]) == ({"total_tokens": 3}, "reported", 5)
    assert data["timings"] == {
        "started_at": "2023-11-14T22:13:20.000Z",
        "first_byte_ms": 1000,
        "first_token_ms": 2000,
        "duration_ms": 7000,
    }
    assert sequences(closed.chunks) == [(0, 5)]


def test_chunk_events_come_when_they_are_due() -> None:
    """Consumers that follow a stream would get it late, or one event per frame."""
    made = tap(chunk_interval=0.25)
    made.feed(said("a"), 100.1)
    assert made.due(100.2) == []
    made.feed(said("b"), 100.2)
    assert sequences(made.due(100.25)) == [(0, 2)]
    made.feed(said("c"), 100.3)
    assert made.due(100.4) == []
    assert made.due(100.6) != []
    assert made.due(101.0) == []


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", None])
def test_an_answer_without_a_byte_ends_too(content_type: str | None) -> None:
    """A stream of which nothing came would have no ending."""
    made = Tap(OPENING, Capture(), CHAT_COMPLETIONS)
    made.answered(200, content_type)
    assert made.end("client_gone", 101.0).data["outcome"] == "cancelled"


def test_without_an_answer_the_status_is_null() -> None:
    """An unreachable upstream would be reported with a status that it never sent."""
    data = Tap(OPENING, Capture(), CHAT_COMPLETIONS).end("upstream_unreachable", 101.0).data
    assert (data["http_status"], data["outcome"], data["reason"]) == (None, "failed", "upstream_unreachable")


@pytest.mark.parametrize(
    ("ending", "outcome"), [("end", "completed"), ("upstream_reset", "failed"), ("client_gone", "cancelled")]
)
def test_an_answer_too_large_to_be_read_ends_as_its_transport_did(ending: Ending, outcome: str) -> None:
    """A large answer would be reported as broken, or a broken one as complete."""
    made = Tap(OPENING, Capture(max_body=100), CHAT_COMPLETIONS)
    made.answered(200, "application/json")
    made.feed(b'{"choices": [' + b" " * 200, 101.0)
    data = made.end(ending, 102.0).data
    assert (data["outcome"], data["truncated"]) == (outcome, True)


def test_the_first_token_is_not_the_first_byte() -> None:
    """The time to the first token would be that of a comment, of the role, or of the moment of parsing."""
    closed = ended(b": waiting\n\n", frame({"role": "assistant"}), frame({"content": ""}), frame({}), said("Hi"), DONE)
    assert closed.data["timings"]["first_byte_ms"] == 1000
    assert closed.data["timings"]["first_token_ms"] == 5000


@pytest.mark.parametrize(
    "delta", [{"content": "x"}, {"reasoning_content": "x"}, {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}]
)
def test_reasoning_and_tool_calls_are_tokens(delta: dict[str, Any]) -> None:
    """A model that thinks first would seem to be slow."""
    assert ended(frame({"role": "assistant"}), frame(delta), said("y")).data["timings"]["first_token_ms"] == 2000


def test_the_first_token_came_when_its_frame_was_whole() -> None:
    """A frame that comes byte by byte would be dated by its first byte, before anybody could have read it."""
    made = tap()
    at = 0
    for byte in frame({"role": "assistant"}) + said("Hi"):
        at += 1
        made.feed(bytes((byte,)), 100.0 + at / 1000)
        if at % 50 == 0:
            made.due(101.0 + at)  # parsed in between or not, that must not matter
    made.feed(said("later"), 300.0)
    assert made.end("end", 301.0).data["timings"]["first_token_ms"] == at


def test_an_answer_without_a_token_has_no_first_token() -> None:
    """A stream that failed before its first token would lower the average."""
    data = ended(frame({"role": "assistant"}), DONE).data
    assert (data["timings"]["first_byte_ms"], data["timings"]["first_token_ms"]) == (1000, None)
    assert ended().data["timings"]["first_byte_ms"] is None
    assert ended(b"", said("x")).data["timings"]["first_byte_ms"] == 2000


def test_each_makes_one_event_per_chunk() -> None:
    """Who asked for every chunk as an event would get them in heaps, or with wrong numbers."""
    closed = ended(said("a") + said("b"), said("c"), DONE, chunks="each")
    assert sequences(closed.chunks) == [(0, 1), (1, 1), (2, 1)]
    assert len({draft.key for draft in closed.chunks}) == 3


def test_off_makes_no_chunk_event_and_no_gap() -> None:
    """Chunk events that nobody wants would be written, or their absence be counted as a loss."""
    made = tap(chunks="off")
    for number in range(2000):
        made.feed(said(str(number)), 101.0)
        assert made.due(200.0) == []
    closed = made.end("end", 201.0)
    assert (closed.chunks, closed.data["gaps"], closed.data["chunks"]) == ([], 0, 2000)
    assert closed.data["choices"][0]["content"] == "".join(map(str, range(2000)))


def test_under_pressure_chunk_events_thin_and_the_ending_stays_whole() -> None:
    """A slow journal would be flooded, or the ending lose what it is for."""
    made = tap()
    made.feed(said("a"), 100.1)
    assert made.due(100.3, thin=True) == []
    made.feed(said("b"), 100.4)
    assert sequences(made.due(100.6)) == [(1, 1)]
    made.feed(said("c") + FINISH + DONE, 100.7)
    closed = made.end("end", 101.0, thin=True)
    assert (closed.chunks, closed.data["gaps"], closed.data["chunks"]) == ([], 3, 4)
    assert closed.data["choices"][0]["content"] == "abc"


def test_a_fast_stream_is_due_early() -> None:
    """What is held of a fast stream would reach its bound before the next event, and be lost for it."""
    made = tap(chunk_interval=60.0)
    drafts: list[Draft] = []
    for number in range(3000):
        made.feed(said("x" * 1000), 100.1)
        if number % 100 == 0:
            drafts += made.due(100.2)
    assert len(drafts) > 5
    assert made.end("end", 101.0).data["gaps"] == 0


@pytest.mark.parametrize("chunks", ["coalesced", "each"])
def test_no_event_is_too_large_for_a_broker(chunks: ChunkEvents) -> None:
    """One large answer would become dead letters."""
    made = tap(chunks=chunks)
    made.feed(b"".join([said("x" * 10_000)] * 100), 100.1)
    made.feed(said("y" * 1_100_000), 100.2)
    closed = made.end("end", 101.0)
    assert max(len(draft.event.data) for draft in [*closed.chunks, closed.terminal]) <= 1_000_000
    assert sum(count for _, count in sequences(closed.chunks)) == 100
    assert (closed.data["chunks"], closed.data["gaps"]) == (100, 1)


def test_a_long_answer_is_cut_and_its_end_still_found() -> None:
    """An answer of five megabytes would lose its usage, or its ending."""
    made = tap(chunks="off")
    for _ in range(500):
        made.feed(said("x" * 10_000), 100.1)
    made.feed(FINISH + USAGE + DONE, 100.2)
    data = made.end("end", 101.0).data
    assert (data["outcome"], data["usage"], data["truncated"]) == ("completed", {"total_tokens": 3}, True)
    assert data["choices"][0]["finish_reason"] == "stop"
    assert 700_000 < len(data["choices"][0]["content"] or "") <= 1_000_000


def test_memory_is_bounded_whatever_comes() -> None:
    """A stream without an end would fill the memory: of frames, of one frame, of a body, with nobody asking."""
    for piece, content_type in (
        (said("x" * 1000), "text/event-stream"),
        (b"x" * 1000, "text/event-stream"),
        (b" " * 1000, ""),
    ):
        made = Tap(OPENING, Capture(), CHAT_COMPLETIONS)
        made.answered(200, content_type)
        made.feed(b"data: ", 100.0)
        for _ in range(1000):  # a warm-up: everything that fills up is full
            made.feed(piece * 10, 100.0)
        tracemalloc.start()
        for _ in range(1000):
            made.feed(piece * 10, 100.0)
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert grown < 200_000
        assert made.end("client_gone", 101.0).data["bytes"] == 6 + 2000 * 10 * len(piece)


@pytest.mark.parametrize(
    ("before", "after", "outcome", "reason"),
    [
        (said("a"), said("b") + FINISH + DONE, "cancelled", "client_gone"),
        (said("a"), b'data: {"error":"x"}\n\n', "cancelled", "client_gone"),
        (said("a") + FINISH + DONE, b"", "completed", None),
        (b'data: {"error":"x"}\n\n', said("b"), "failed", "upstream_error"),
    ],
)
def test_a_client_that_left_settles_the_outcome_and_not_the_content(
    before: bytes, after: bytes, outcome: str, reason: str | None
) -> None:
    """A stream read on without its client would count as completed, or lose what was read on for."""
    made = tap()
    made.feed(before, 100.1)
    made.client_left()
    made.feed(after, 100.2)
    made.client_left()
    data = made.end("end", 101.0).data
    assert (data["outcome"], data["reason"]) == (outcome, reason)
    assert data["bytes"] == len(before + after)


def test_the_border_is_known_however_the_bytes_came() -> None:
    """An error frame would be put into the middle of a frame, or never be sent."""
    stream = b": c\r\n\r\n" + said("a") + b"data: b\r\rdata: c\n\r\n"
    borders = [cut for cut in range(len(stream) + 1) if is_border(stream[:cut])]
    for pieces in ([stream[place : place + 1] for place in range(len(stream))], [b"", *[bytes((b,)) for b in stream]]):
        for asked in (False, True):
            made = tap(chunk_interval=0.0)
            found = [0] if made.at_border() else []
            cut = 0
            for piece in pieces:
                made.feed(piece, 101.0)
                cut += len(piece)
                if asked:
                    made.due(102.0)
                if piece and made.at_border():
                    found.append(cut)
            assert found == borders


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None, "text/event-stream"])
def test_what_the_body_is_counts_for_more_than_what_it_is_called(content_type: str | None) -> None:
    """A server that mislabels its answers would have none of them understood."""
    for body, content in ((said("a") + FINISH + DONE, "a"), (b'\n{"choices":[{"message":{"content":"b"}}]}', "b")):
        made = Tap(OPENING, Capture(), CHAT_COMPLETIONS)
        made.answered(200, content_type)
        made.feed(body[:1], 100.1)
        made.feed(body[1:], 100.1)
        data = made.end("end", 101.0).data
        assert (data["outcome"], data["choices"][0]["content"]) == ("completed", content)


def test_without_content_no_text_of_the_answer_is_in_any_event() -> None:
    """What the model said would leave the relay although it may not."""
    words = {"content": "SECRET", "reasoning_content": "SECRET", "refusal": "SECRET"}
    call = {"tool_calls": [{"index": 0, "id": "i", "function": {"name": "f", "arguments": "SECRET"}}]}
    error = b'data: {"error":{"message":"SECRET","type":"server_error","code":1}}\n\n'
    closed = ended(frame(words), *[said("SECRET")] * 20, frame(call), error, FINISH, USAGE, DONE, content=False)
    assert not [draft for draft in [*closed.chunks, closed.terminal] if b"SECRET" in draft.event.data]
    assert (closed.data["chunks"], closed.data["usage"]) == (25, {"total_tokens": 3})
    assert closed.data["error"] == {"code": "1", "type": "server_error", "message": None}
    assert closed.data["timings"]["first_token_ms"] == 1000


def test_a_stream_has_one_ending_whichever_it_is() -> None:
    """A stream that had its ending in the journal when the relay died would get a second one at the restart."""
    endings = [ended(said("a"), FINISH), ended(said("a")), ended(said("a"), ending="client_gone")]
    drafts = [closed.terminal for closed in endings]
    drafts.append(closed_by_restart(started_draft(OPENING).event, [], 1_700_000_000_000, apis()).terminal)
    assert [draft.event.id for draft in drafts] == ["s1:completed", "s1:failed", "s1:cancelled", "s1:failed"]
    assert len({draft.key for draft in drafts}) == 1
    assert {judge(draft, drafts[0].fingerprint) for draft in drafts} == {None}
    assert drafts[0].key != started_draft(OPENING).key


def test_words_are_bounded_too() -> None:
    """A name of a megabyte would make an event that no broker takes, and its stream would have no ending."""
    long = "x" * 900_000
    call = {"tool_calls": [{"index": 0, "id": long, "type": long, "function": {"name": long, "arguments": "{}"}}]}
    made = Tap(dataclasses.replace(OPENING, model=long), Capture(), CHAT_COMPLETIONS)
    assert len(started_draft(dataclasses.replace(OPENING, model=long)).event.data) < 1000
    made.answered(200, "text/event-stream")
    for part in (frame({"role": long}), frame(call), b'data: {"id":"%b","model":"%b"}\n\n' % ((long.encode(),) * 2)):
        made.feed(part, 100.1)
    made.feed(b'data: {"choices":[{"delta":{},"finish_reason":"%b"}]}\n\n' % long.encode(), 100.2)
    closed = made.end("end", 101.0)
    assert len(closed.terminal.event.data) < 10_000
    assert (closed.data["outcome"], closed.data["truncated"]) == ("completed", False)
