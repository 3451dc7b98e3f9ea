"""Serializes a reply: as the frames of a stream, or as one document. Pure.

The shapes are those of a captured stream (facts of the wire, 2025-02 and 2026): the role comes alone, empty deltas come
in between, each choice has ``content_filter_results``, ``usage`` is no key at all unless it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import orjson

from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import Choice, Reply, ToolCall
from relay.simulator.chat.request import ChatRequest
from relay.simulator.requests import Json

FILTER = {kind: {"filtered": False} for kind in ("hate", "self_harm", "sexual", "violence", "jailbreak", "profanity")}
FILLER_RATE = 0.1
"""How many empty deltas come between two others, on average."""


def frame(body: Json) -> bytes:
    """One event: one data line, one blank line."""
    return b"data: %b\n\n" % orjson.dumps(body)


DONE = b"data: [DONE]\n\n"
DONE_WITH_NAME = b"event: data\ndata: [DONE]\n\n"


def stream(reply: Reply, request: ChatRequest, behaviour: Behaviour, rng: Random) -> Iterator[bytes]:
    """Every frame of a stream that ends well."""
    if behaviour.done != "alone":
        yield from _chunks(reply, request, behaviour, rng)
    if behaviour.done != "absent":
        yield DONE_WITH_NAME if behaviour.done == "event" else DONE


def document(reply: Reply, behaviour: Behaviour) -> bytes:
    """The answer in one piece. The details of usage are null there, as observed."""
    usage = _usage(reply) | {"prompt_tokens_details": None, "completion_tokens_details": None}
    body = {
        "id": reply.completion_id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [_message(index, choice, behaviour) for index, choice in enumerate(reply.choices)],
        **({} if behaviour.usage == "absent" else {"usage": usage}),
        "system_fingerprint": "",
    }
    return orjson.dumps(body | _strange(behaviour))


def error_frames(shape: str, reply: Reply) -> Iterator[bytes]:
    """An error in mid-stream, as the server is known for that ``shape`` is named after."""
    said = {"message": "The server is overloaded.", "type": "server_error", "param": None, "code": "overloaded"}
    base = _base(reply)
    delta = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    bodies: dict[str, Json] = {
        "text": {"error": "The server is overloaded."},
        "openrouter": base | {"choices": [delta], "error": {"code": 502, "message": "upstream died"}},
        "flat": {"code": 500, "reason": "INTERNAL", "message": "failed", "metadata": {}},
        "deepinfra": base | {"choices": None, "error_type": "server_error", "error_message": "The engine died."},
    }
    yield (b"event: error\n" if shape == "event" else b"") + frame(bodies.get(shape, {"error": said}))
    if shape == "vllm":
        yield DONE


def _chunks(reply: Reply, request: ChatRequest, behaviour: Behaviour, rng: Random) -> Iterator[bytes]:
    usage_at = (behaviour.usage or "chunk") if request.include_usage else "absent"
    base = _base(reply) | ({"usage": None} if usage_at == "chunk" else {})
    strange = _strange(behaviour)
    # The upstream was seen to do both: the end on the last delta with a text, and on one of its own.
    joined = behaviour.finish == "joined" or (behaviour.finish != "alone" and rng.random() < 0.5)
    turns = [_deltas(index, choice, behaviour, joined, rng) for index, choice in enumerate(reply.choices)]
    open_choices = len(turns)
    null_at = rng.randint(1, 3) if behaviour.null_choices else 0
    for number, choice in enumerate(_in_turn(turns)):
        if null_at and number == null_at:
            yield frame(base | {"choices": None})
        body = base | {"choices": [choice | strange]} | strange
        if "finish_reason" in choice and choice["finish_reason"] is not None:
            open_choices -= 1
            if usage_at == "finish" and open_choices == 0:
                body["usage"] = _usage(reply)
        yield frame(body)
    if usage_at == "chunk":
        yield frame(base | {"choices": [], "usage": _detailed_usage(reply)})


def _in_turn(turns: list[Iterator[Json]]) -> Iterator[Json]:
    """One delta of each choice after the other, until all have ended."""
    while turns:
        for turn in tuple(turns):
            choice = next(turn, None)
            if choice is None:
                turns.remove(turn)
            else:
                yield choice


def _deltas(index: int, choice: Choice, behaviour: Behaviour, joined: bool, rng: Random) -> Iterator[Json]:
    """One choice, delta by delta. With ``joined`` its end stands on the last one that says something."""
    strange = {"quirk": [1, None]} if behaviour.unknown_keys else {}
    role: Json = {"role": "assistant"}
    yield _delta(index, role | strange)
    said = [*_reasoning(choice, behaviour), *({"content": piece} for piece in choice.content), *_calls(choice)]
    last = len(said) - 1 if joined and choice.finish_reason is not None else -1
    for place, delta in enumerate(said):
        if rng.random() < FILLER_RATE:
            yield _delta(index, {})
        yield _delta(index, delta | strange, choice.finish_reason if place == last else None)
    if last < 0 and choice.finish_reason is not None:
        yield _delta(index, {}, choice.finish_reason)


def _reasoning(choice: Choice, behaviour: Behaviour) -> Iterator[Json]:
    """Three styles; which one a model has is documented for few of them."""
    for piece in choice.reasoning:
        detail = [{"type": "reasoning.text", "format": "openai-responses-v1", "text": piece}]
        if behaviour.reasoning == "details":
            yield {"content": "", "reasoning_details": detail}
        elif behaviour.reasoning == "both":
            yield {"content": "", "reasoning_content": piece, "reasoning_details": detail}
        else:
            yield {"content": None, "reasoning_content": piece}


def _calls(choice: Choice) -> Iterator[Json]:
    """Tool calls in OpenAI's shape: name and id first, then the arguments piece by piece."""
    for index, call in enumerate(choice.tool_calls):
        yield {"tool_calls": [{"index": index} | _call(call, "")]}
        for piece in call.arguments:
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _call(call: ToolCall, arguments: str) -> Json:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _message(index: int, choice: Choice, behaviour: Behaviour) -> Json:
    message: Json = {"role": "assistant", "content": "".join(choice.content) or None}
    reasoning = "".join(choice.reasoning)
    if reasoning and behaviour.reasoning != "details":
        message["reasoning_content"] = reasoning
    if reasoning and behaviour.reasoning in ("details", "both"):
        message["reasoning_details"] = [{"type": "reasoning.text", "format": "openai-responses-v1", "text": reasoning}]
    if choice.tool_calls:
        message["tool_calls"] = [_call(call, "".join(call.arguments)) for call in choice.tool_calls]
    return {
        "index": index,
        "message": message,
        "finish_reason": choice.finish_reason,
        "content_filter_results": FILTER,
    } | _strange(behaviour)


def _delta(index: int, delta: Json, finish_reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "finish_reason": finish_reason, "content_filter_results": FILTER}


def _base(reply: Reply) -> Json:
    return {
        "id": reply.completion_id,
        "object": "chat.completion.chunk",
        "created": reply.created,
        "model": reply.model,
        "choices": [],
        "system_fingerprint": "",
    }


def _usage(reply: Reply) -> Json:
    prompt, completion = reply.prompt_tokens, reply.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _detailed_usage(reply: Reply) -> Json:
    """The further keys that were seen in 2026."""
    return _usage(reply) | {
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "image_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        "cache_read_input_tokens": 0,
    }


def _strange(behaviour: Behaviour) -> Json:
    return {"provider_hints": {"shard": "b", "weights": [0.5, None]}} if behaviour.unknown_keys else {}
