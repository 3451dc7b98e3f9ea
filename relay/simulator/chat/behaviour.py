"""How a chat is answered, as directives: its content, its framing, its pace, and its faults.

``X-Simulate: chunks=200, pace=50ms, reset, at=20`` names them for one request; rates then do not apply to it. The
directives are the fields of ``Behaviour``, with ``-`` for ``_``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random

from relay.simulator.directives import (
    Directed,
    Reader,
    choice,
    count,
    directives_in,
    duration,
    flag,
    made,
    status,
    struck,
)
from relay.simulator.rates import Faults

STATUSES = (200, 400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504)
"""With which an error can be answered. 200: some servers put an error body under it (ggml-org/llama.cpp#14566)."""

MOST_CHUNKS = 1_000_000
MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Behaviour(Directed):
    """How one chat request is answered. Durations in seconds; the defaults are those of a healthy upstream."""

    # the shape of the answer
    chunks: int = 0
    """So many pieces of content; 0: as many as the seed says."""
    size: int = 0
    """So many characters in each piece of content; 0: a word."""
    echo: bool = False
    """The content is the last message of the request."""
    reasoning: str = ""
    """Reasoning comes before the content: as ``reasoning_content``, ``reasoning_details``, both, or ``<think>``.

    Messages have one style of their own beside ``<think>``; responses have texts, summaries, or both.
    """
    tools: int = 0
    """So many tool calls; 0: one where the request offers tools and has no result of one yet."""
    finish: str = ""
    """``finish_reason`` stands alone, or on a chunk that also carries content; by default as the seed says."""
    finish_reason: str = ""
    """What it says; ``absent``: it never comes (earendil-works/pi#6225), ``empty``: ``""`` (sgl-project/sglang#3912)"""
    usage: str = ""
    """Where usage stands if it is asked for: on a ``chunk`` of its own, on that of the ``finish``, or nowhere.

    Messages and responses have one place for it.
    """
    unknown_keys: bool = False
    """Chunks, choices and deltas have keys that are documented nowhere."""
    null_choices: bool = False
    """One chunk says ``choices: null``."""

    # the framing
    comments: str = ""
    """Comment lines before the first frame and between frames: ``: keep-alive`` or ``: OPENROUTER PROCESSING``."""
    newline: str = ""
    """Lines end in CRLF or in CR, not in LF."""
    blank_lines: bool = False
    """Blank lines before a body that is not streamed (DeepSeek), and between frames."""
    done: str = ""
    """``event``: ``[DONE]`` is an event with a name; ``absent``: it never comes; ``alone``: nothing comes before it.

    Where another event ends a stream, the latter two are about that, and ``event`` adds a ``[DONE]``.
    """

    # the delivery
    slow: float = 0.0
    """The answer begins, with its headers, so much later."""
    first_token: float = 0.0
    """The first frame comes so long after the headers."""
    pace: float = 0.0
    """So much time between two frames."""
    bytes: int = 0
    """So many bytes in each write, wherever that cuts a frame; 1: byte by byte."""
    random: bool = False
    """Writes of random lengths, by the seed."""
    batch: int = 0
    """So many frames in each write."""

    # what goes wrong
    error: int = 0
    """This HTTP status instead of an answer."""
    error_body: str = ""
    """What the body of that error is: Novita's ``flat`` object, ``openai``'s, ``anthropic``'s, a gateway's ``text``."""
    retry_after: str = ""
    """The error says ``Retry-After``: this text."""
    should_retry: str = ""
    """The error says ``x-should-retry``, which the OpenAI SDKs obey."""
    error_frame: str = ""
    """An error in the stream, in the shape that this server is known for; nothing follows it but the stream's end.

    ``own``: in that of the API; ``failed``: a response says that it failed.
    """
    truncated: bool = False
    """The stream ends cleanly in mid-answer: no ``finish_reason``, no ``[DONE]``."""
    cut: bool = False
    """The connection is closed in the middle of a frame, without the end of the body."""
    reset: bool = False
    """The connection is reset in the middle of a frame."""
    no_answer: bool = False
    """The connection is closed instead of an answer."""
    stall: float = 0.0
    """So long a pause in mid-answer."""
    hang: bool = False
    """Nothing comes any more in mid-answer, until the client leaves."""
    at: int = 0
    """Before which frame, counted from 1, the fault strikes; 0: where the seed says."""


DIRECTIVES = tuple(field.name for field in fields(Behaviour))

CHAT_FAULTS = ("error", "error_frame", "truncated", "cut", "reset", "no_answer", "slow", "stall", "hang")
"""Those that have a rate, in the order in which their luck is drawn."""


def parse(header: str, faults: Faults) -> Behaviour:
    """The behaviour that a value of ``X-Simulate`` asks for. Raises ``UnknownFault``."""
    return made(Behaviour, directives_in(header), _READERS, faults)


def draw(rng: Random, faults: Faults) -> Behaviour:
    """A behaviour by the rates."""
    return made(Behaviour, struck(rng, faults, CHAT_FAULTS), _READERS, faults)


def _one_of(*known: str) -> Reader:
    return lambda value, _: choice(value, known)


def _number(default: int, most: int) -> Reader:
    return lambda value, _: count(value, default, most)


def _seconds(default: float) -> Reader:
    return lambda value, _: duration(value, default)


_READERS: dict[str, Reader] = {
    **dict.fromkeys(DIRECTIVES, lambda value, _: flag(value)),
    "chunks": _number(200, MOST_CHUNKS),
    "size": _number(1024, MOST_BYTES),
    "reasoning": _one_of("content", "details", "both", "think"),
    "tools": _number(1, 100),
    "finish": _one_of("alone", "joined"),
    "finish_reason": _one_of("absent", "empty", "stop", "length", "content_filter"),
    "usage": _one_of("chunk", "finish", "absent"),
    "comments": _one_of("keep-alive", "openrouter"),
    "newline": _one_of("crlf", "cr"),
    "done": _one_of("absent", "event", "alone"),
    "slow": lambda value, faults: duration(value, faults.slow_by),
    "first_token": _seconds(0.5),
    "pace": _seconds(0.05),
    "bytes": _number(1, MOST_BYTES),
    "batch": _number(10, 1000),
    "error": lambda value, _: status(value, STATUSES, 503),
    "error_body": _one_of("flat", "openai", "text", "anthropic"),
    "retry_after": lambda value, _: value or "1",
    "should_retry": _one_of("true", "false"),
    "error_frame": _one_of("own", "openai", "text", "event", "vllm", "openrouter", "flat", "deepinfra", "failed"),
    "stall": lambda value, faults: duration(value, faults.stall_by),
    "at": _number(1, MOST_CHUNKS),
}
