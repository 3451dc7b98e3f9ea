"""What is sent and when: frames cut into writes, pauses between them, faults that end them early."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain, islice
from random import Random

from relay.simulator.chat.behaviour import Behaviour

Headers = tuple[tuple[str, str], ...]


class End(Enum):
    """How an answer ends."""

    COMPLETE = "complete"
    """As HTTP ends a body; the events in it may be incomplete."""
    CUT = "cut"
    """The connection is closed without the end of the body."""
    RESET = "reset"
    """The connection is reset."""
    HANG = "hang"
    """Nothing comes any more, until the client leaves."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One write, and the pause before it in seconds."""

    data: bytes
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` ``None``: the connection ends without an answer. ``delay`` (seconds) comes before the headers.

    ``length`` is what ``Content-Length`` says; ``None``: the body comes in chunks.
    """

    status: int | None
    headers: Headers = ()
    pieces: Iterable[Piece] = ()
    end: End = End.COMPLETE
    delay: float = 0.0
    length: int | None = None


STREAM_HEADERS: Headers = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))
JSON_HEADERS: Headers = (("Content-Type", "application/json"),)
COMMENTS = {"keep-alive": b": keep-alive\n\n", "openrouter": b": OPENROUTER PROCESSING\n\n"}
NEWLINES = {"crlf": b"\r\n", "cr": b"\r"}


def streamed(
    frames: Iterable[bytes],
    broken_by: Callable[[int], Iterable[bytes]],
    behaviour: Behaviour,
    rng: Random,
    middle: int,
) -> Answer:
    """A stream of ``frames``; the fault, if any, strikes within the first ``middle`` frames.

    What ``broken_by`` gives for the number of frames before it is sent then.
    """
    at = behaviour.at or rng.randint(1, max(1, middle))
    comment = _framed(COMMENTS[behaviour.comments], behaviour) if behaviour.comments else b""
    sent = chain(_until(frames, at, behaviour), broken_by(at - 1) if behaviour.error_frame else ())
    framed = (comment + _framed(frame, behaviour) for frame in sent)
    pieces = _paced(framed, at, behaviour)
    return Answer(200, STREAM_HEADERS, _cut(pieces, behaviour, rng), _end(behaviour), behaviour.slow)


def whole(body: bytes, behaviour: Behaviour, rng: Random, status: int = 200, headers: Headers = JSON_HEADERS) -> Answer:
    """A body in one piece. What cuts a stream cuts it in its middle."""
    body = (b"\n\n\n" if behaviour.blank_lines else b"") + body
    end = _end(behaviour)
    sent = body if end is End.COMPLETE else body[: len(body) // 2]
    pieces = _cut(iter([Piece(sent, behaviour.first_token + behaviour.stall)]), behaviour, rng)
    return Answer(status, headers, pieces, end, behaviour.slow, len(body))


def _end(behaviour: Behaviour) -> End:
    if behaviour.reset:
        return End.RESET
    if behaviour.cut:
        return End.CUT
    return End.HANG if behaviour.hang else End.COMPLETE


def _until(frames: Iterable[bytes], at: int, behaviour: Behaviour) -> Iterator[bytes]:
    """The frames up to the fault; of the one in whose middle the connection breaks, the first half."""
    stops = behaviour.truncated or behaviour.error_frame or _end(behaviour) is not End.COMPLETE
    for number, frame in enumerate(frames, 1):
        if stops and number == at:
            if behaviour.reset or behaviour.cut:
                yield frame[: len(frame) // 2]
            return
        yield frame


def _framed(frame: bytes, behaviour: Behaviour) -> bytes:
    """The frame with the line ends that are asked for; JSON has none of its own."""
    if behaviour.blank_lines:
        frame += b"\n"
    return frame.replace(b"\n", NEWLINES[behaviour.newline]) if behaviour.newline else frame


def _paced(frames: Iterator[bytes], at: int, behaviour: Behaviour) -> Iterator[Piece]:
    """One piece per frame, or per ``batch`` of them, after its pause."""
    number = 0
    while batch := list(islice(frames, behaviour.batch or 1)):
        pause = behaviour.pace if number else behaviour.first_token
        if number < at <= number + len(batch):
            pause += behaviour.stall
        number += len(batch)
        yield Piece(b"".join(batch), pause)


def _cut(pieces: Iterator[Piece], behaviour: Behaviour, rng: Random) -> Iterator[Piece]:
    """The pieces in writes of the length asked for; the pause stays before the first part of each."""
    if not behaviour.bytes and not behaviour.random:
        yield from pieces
        return
    for piece in pieces:
        pause, start = piece.pause, 0
        while start < len(piece.data):
            length = behaviour.bytes or rng.randint(1, 40)
            yield Piece(piece.data[start : start + length], pause)
            pause, start = 0.0, start + length
