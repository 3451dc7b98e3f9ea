from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.delivery import Answer, End, Piece, streamed, whole

FRAMES = [b"data: %d\n\n" % number for number in range(10)]
BROKEN = [b'data: {"error":1}\n\n']


def broken(after: int) -> list[bytes]:
    assert 0 <= after < len(FRAMES)
    return BROKEN


def answer(behaviour: Behaviour, frames: Iterable[bytes] = FRAMES) -> Answer:
    return streamed(frames, broken, behaviour, Random(5), len(FRAMES))


def data(made: Answer) -> bytes:
    return b"".join(piece.data for piece in made.pieces)


def test_a_healthy_stream_is_its_frames_each_in_a_write() -> None:
    """The simulator would cut or join what an upstream sends frame by frame."""
    made = answer(Behaviour())
    assert [piece.data for piece in made.pieces] == FRAMES
    assert (made.status, made.end, made.length) == (200, End.COMPLETE, None)
    assert made.headers == (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))


@pytest.mark.parametrize(
    "behaviour", [Behaviour(bytes=1), Behaviour(bytes=7), Behaviour(random=True), Behaviour(batch=3)]
)
def test_however_it_is_cut_the_bytes_are_the_same(behaviour: Behaviour) -> None:
    """Another chunking would be another stream."""
    made = answer(behaviour)
    pieces = [piece.data for piece in made.pieces]
    assert b"".join(pieces) == b"".join(FRAMES)
    assert pieces != FRAMES
    if behaviour.bytes:
        assert {len(piece) for piece in pieces} <= {behaviour.bytes, len(FRAMES[0]) % behaviour.bytes}
    if behaviour.batch:
        assert pieces[0] == b"".join(FRAMES[:3])


def test_pauses_come_where_they_are_asked_for() -> None:
    """A slow start, a pace or a stall would fall on other frames, and a time to the first token would be wrong."""
    made = answer(Behaviour(slow=9.0, first_token=1.0, pace=0.1, stall=2.0, at=4))
    assert made.delay == 9.0
    assert [piece.pause for piece in made.pieces] == [1.0, 0.1, 0.1, 2.1, *[0.1] * 6]


def test_a_pause_comes_once_before_a_frame_that_is_cut() -> None:
    """A byte-by-byte stream would be paced by the byte."""
    made = answer(Behaviour(pace=0.1, bytes=4))
    assert sum(piece.pause for piece in made.pieces) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("behaviour", "sent", "end"),
    [
        (Behaviour(truncated=True, at=3), b"".join(FRAMES[:2]), End.COMPLETE),
        (Behaviour(reset=True, at=3), b"".join(FRAMES[:2]) + b"data", End.RESET),
        (Behaviour(cut=True, at=1), b"data", End.CUT),
        (Behaviour(hang=True, at=2), FRAMES[0], End.HANG),
        (Behaviour(error_frame="openai", at=2), FRAMES[0] + BROKEN[0], End.COMPLETE),
        (Behaviour(error_frame="openai", at=2, reset=True), FRAMES[0] + b"data" + BROKEN[0], End.RESET),
    ],
)
def test_a_fault_strikes_where_it_is_asked_to(behaviour: Behaviour, sent: bytes, end: End) -> None:
    """A stream that should break would go on, or break elsewhere."""
    made = answer(behaviour)
    assert (data(made), made.end) == (sent, end)


def test_a_fault_without_a_place_strikes_within_the_stream() -> None:
    """Some streams that should break would reach their end."""
    for seed in range(50):
        made = streamed(FRAMES, broken, Behaviour(truncated=True), Random(seed), len(FRAMES))
        assert len(data(made)) < len(b"".join(FRAMES))


@pytest.mark.parametrize(
    ("behaviour", "first"),
    [
        (Behaviour(newline="crlf"), b"data: 0\r\n\r\n"),
        (Behaviour(newline="cr"), b"data: 0\r\r"),
        (Behaviour(blank_lines=True), b"data: 0\n\n\n"),
        (Behaviour(comments="keep-alive"), b": keep-alive\n\ndata: 0\n\n"),
        (Behaviour(comments="openrouter", newline="crlf"), b": OPENROUTER PROCESSING\r\n\r\ndata: 0\r\n\r\n"),
    ],
)
def test_the_framing_is_the_one_asked_for(behaviour: Behaviour, first: bytes) -> None:
    """Comments, blank lines and other line ends, which proxies break on, would never be met."""
    assert next(iter(answer(behaviour).pieces)).data == first


def test_frames_are_made_as_they_are_sent() -> None:
    """A stream of a million chunks would be in memory before its first byte."""
    made: list[int] = []

    def endless() -> Iterable[bytes]:
        while True:
            made.append(1)
            yield b"data: x\n\n"

    pieces = iter(streamed(endless(), broken, Behaviour(), Random(1), 5).pieces)
    assert next(pieces) == Piece(b"data: x\n\n")
    assert len(made) < 5


def test_a_body_in_one_piece_can_be_cut_too() -> None:
    """A client of an answer that is not streamed would never see it break."""
    made = whole(b"0123456789", Behaviour(cut=True), Random(1))
    assert (data(made), made.length, made.end) == (b"01234", 10, End.CUT)
    assert data(whole(b"{}", Behaviour(blank_lines=True), Random(1))) == b"\n\n\n{}"
