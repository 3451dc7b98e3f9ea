"""Completions, OpenAI's API from before chats (vendor page create-completion): a prompt is continued. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import orjson

from relay.simulator.chat.apis.api import (
    OPENAI_BASES,
    Api,
    ends_joined,
    foreign_error,
    frame,
    plain_usage,
    strange,
    turns,
    until_done,
    usage_asked,
    usage_place,
)
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import Choice, Reply
from relay.simulator.chat.request import ChatRequest, choices_of, flag, max_tokens, model, texts
from relay.simulator.requests import Json


def read(body: Json) -> ChatRequest:
    """Each prompt gets ``n`` choices. Raises ``InvalidSubmission``."""
    prompts, streamed = texts(body, "prompt"), flag(body, "stream")
    return ChatRequest(
        model=model(body),
        stream=streamed,
        include_usage=usage_asked(body, streamed),
        choices=choices_of(body) * len(prompts),
        max_tokens=max_tokens(body, "max_tokens"),
        prompt=prompts[-1],
        prompt_tokens=sum(len(prompt.split()) for prompt in prompts),
        tools=(),
        reasons="",
    )


def stream(reply: Reply, request: ChatRequest, behaviour: Behaviour, rng: Random) -> Iterator[bytes]:
    """Every frame of a stream that ends well."""
    return until_done(_chunks(reply, request, behaviour, rng), behaviour)


def document(reply: Reply, behaviour: Behaviour) -> bytes:
    """The answer in one piece."""
    choices = [
        _choice(index, "".join(choice.content), choice.finish_reason) for index, choice in enumerate(reply.choices)
    ]
    usage = {} if behaviour.usage == "absent" else {"usage": plain_usage(reply)}
    return orjson.dumps(_base(reply) | {"choices": choices} | usage | strange(behaviour))


def error_frames(shape: str, reply: Reply, after: int) -> Iterator[bytes]:
    """An error in mid-stream, by default in OpenAI's shape."""
    yield foreign_error(shape) or foreign_error("openai")


def _chunks(reply: Reply, request: ChatRequest, behaviour: Behaviour, rng: Random) -> Iterator[bytes]:
    usage_at = usage_place(request, behaviour)
    base = _base(reply) | ({"usage": None} if usage_at == "chunk" else {})
    joined = ends_joined(behaviour, rng)
    open_choices = len(reply.choices)
    for piece in turns([_pieces(index, choice, joined) for index, choice in enumerate(reply.choices)]):
        body = base | {"choices": [piece | strange(behaviour)]} | strange(behaviour)
        open_choices -= piece["finish_reason"] is not None
        if usage_at == "finish" and open_choices == 0:
            body["usage"] = plain_usage(reply)
        yield frame(body)
    if usage_at == "chunk":
        yield frame(base | {"choices": [], "usage": plain_usage(reply)})


def _pieces(index: int, choice: Choice, joined: bool) -> Iterator[Json]:
    last = len(choice.content) - 1 if joined else -1
    for place, text in enumerate(choice.content):
        yield _choice(index, text, choice.finish_reason if place == last else None)
    if not joined and choice.finish_reason is not None:
        yield _choice(index, "", choice.finish_reason)


def _choice(index: int, text: str, finish_reason: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _base(reply: Reply) -> Json:
    return {
        "id": reply.completion_id,
        "object": "text_completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [],
    }


COMPLETIONS = Api(
    bases=OPENAI_BASES,
    route="completions",
    ids=("cmpl-",),
    read=read,
    stream=stream,
    document=document,
    error_frames=error_frames,
    ignores=("tools", "reasoning", "null_choices"),
)
