"""What the simulator's APIs have in common: how one reads a request, and writes what was said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

import orjson

from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import Reply
from relay.simulator.chat.request import ChatRequest, flag
from relay.simulator.requests import Json, object_in

OPENAI_BASES = ("/openai/v1", "/v3/openai/v1", "/v3/openai", "/openai")
"""The current base path, and the older ones that clients still use."""
OVERLOADED = "The server is overloaded."
"""What an error in mid-stream says."""


@dataclass(frozen=True, slots=True)
class Api:
    """One API, under each of its ``bases``. ``ids`` are the prefixes that its answers' ids have, by chance.

    ``stream`` gives each frame of a stream that ends well, ``document`` the answer in one piece; ``error_frames`` an
    error in mid-stream by the name of its shape, after so many frames. ``ignores``: directives that mean nothing here.
    """

    bases: tuple[str, ...]
    route: str
    ids: tuple[str, ...]
    read: Callable[[Json], ChatRequest]
    stream: Callable[[Reply, ChatRequest, Behaviour, Random], Iterator[bytes]]
    document: Callable[[Reply, Behaviour], bytes]
    error_frames: Callable[[str, Reply, int], Iterator[bytes]]
    ignores: tuple[str, ...] = ()

    def expressed(self, behaviour: Behaviour, request: ChatRequest) -> Behaviour:
        """The behaviour as this API can express it, with the style of reasoning that the request asks for."""
        changes: dict[str, Any] = {"reasoning": behaviour.reasoning or request.reasons}
        changes |= {field.name: field.default for field in fields(Behaviour) if field.name in self.ignores}
        return replace(behaviour, **changes)


DONE = b"data: [DONE]\n\n"
DONE_WITH_NAME = b"event: data\ndata: [DONE]\n\n"


def frame(body: Json) -> bytes:
    """One event: one data line, one blank line."""
    return b"data: %b\n\n" % orjson.dumps(body)


def named_frame(body: Json) -> bytes:
    """One event that has the name of its ``type``."""
    return b"event: %b\n" % str(body["type"]).encode() + frame(body)


def foreign_error(shape: str) -> bytes:
    """An error in mid-stream in the shape of a gateway, which knows no API; empty for any other shape."""
    bodies: dict[str, Json] = {
        "openai": {"error": {"message": OVERLOADED, "type": "server_error", "param": None, "code": "overloaded"}},
        "text": {"error": OVERLOADED},
        "flat": {"code": 500, "reason": "INTERNAL", "message": "failed", "metadata": {}},
    }
    return frame(bodies[shape]) if shape in bodies else b""


def turns(choices: list[Iterator[Json]]) -> Iterator[Json]:
    """One piece of each choice after the other, until all have ended."""
    while choices:
        for choice in tuple(choices):
            piece = next(choice, None)
            if piece is None:
                choices.remove(choice)
            else:
                yield piece


def usage_asked(body: Json, streamed: bool) -> bool:
    """Whether OpenAI's older APIs add the usage: to a stream only where it is asked for."""
    return not streamed or flag(object_in(body, "stream_options"), "include_usage")


def usage_place(request: ChatRequest, behaviour: Behaviour) -> str:
    """Where they have the usage in a stream: as ``Behaviour.usage``."""
    return (behaviour.usage or "chunk") if request.include_usage else "absent"


def ends_joined(behaviour: Behaviour, rng: Random) -> bool:
    """Whether the end of a choice is on its last piece, or on one of its own: they were seen to do both."""
    return behaviour.finish == "joined" or (behaviour.finish != "alone" and rng.random() < 0.5)


def until_done(chunks: Iterator[bytes], behaviour: Behaviour) -> Iterator[bytes]:
    """The chunks of an API that ends a stream with ``[DONE]``, and that."""
    if behaviour.done != "alone":
        yield from chunks
    if behaviour.done != "absent":
        yield DONE_WITH_NAME if behaviour.done == "event" else DONE


def framed(events: Iterator[Json], behaviour: Behaviour) -> Iterator[bytes]:
    """The events of an API that names them, the last of which is its end; ``[DONE]`` means nothing to it."""
    last: Json | None = None
    for event in events:
        if last is not None and behaviour.done != "alone":
            yield named_frame(last | strange(behaviour))
        last = event
    if last is not None and behaviour.done != "absent":
        yield named_frame(last | strange(behaviour))
    if behaviour.done == "event":
        yield DONE_WITH_NAME


def strange(behaviour: Behaviour) -> Json:
    """Keys that are documented nowhere."""
    return {"provider_hints": {"shard": "b", "weights": [0.5, None]}} if behaviour.unknown_keys else {}


def plain_usage(reply: Reply) -> Json:
    """As OpenAI's older APIs count."""
    prompt, completion = reply.prompt_tokens, reply.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
