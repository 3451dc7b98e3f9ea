"""Chat completions: reads a request (vendor page create-chat-completion), and serializes the reply. Pure.

The shapes are those of a captured stream (facts of the wire, 2025-02 and 2026): the role comes alone, empty deltas come
in between, each choice has ``content_filter_results``, ``usage`` is no key at all unless it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import orjson

from relay.simulator.chat.apis.api import (
    DONE,
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
from relay.simulator.chat.reply import Choice, Reply, ToolCall
from relay.simulator.chat.request import ChatRequest, callable_now, choices_of, flag, list_of, max_tokens, model, text
from relay.simulator.requests import InvalidSubmission, Json, object_in

FILTER = {kind: {"filtered": False} for kind in ("hate", "self_harm", "sexual", "violence", "jailbreak", "profanity")}
FILLER_RATE = 0.1
"""How many empty deltas come between two others, on average."""


def read(body: Json) -> ChatRequest:
    """Raises ``InvalidSubmission``. ``max_tokens`` is marked as required, but clients leave it out and are served."""
    name, messages = model(body), list_of(body, "messages")
    texts = [text(message.get("content")) for message in messages]
    streamed = flag(body, "stream")
    return ChatRequest(
        model=name,
        stream=streamed,
        include_usage=usage_asked(body, streamed),
        choices=choices_of(body),
        max_tokens=max_tokens(body, "max_tokens", "max_completion_tokens"),
        prompt=texts[-1],
        prompt_tokens=sum(4 + len(each.split()) for each in texts),
        tools=_tools(body, messages[-1]),
        reasons=_reasons(name, body),
    )


def stream(reply: Reply, request: ChatRequest, behaviour: Behaviour, rng: Random) -> Iterator[bytes]:
    """Every frame of a stream that ends well."""
    return until_done(_chunks(reply, request, behaviour, rng), behaviour)


def document(reply: Reply, behaviour: Behaviour) -> bytes:
    """The answer in one piece. The details of usage are null there, as observed."""
    usage = plain_usage(reply) | {"prompt_tokens_details": None, "completion_tokens_details": None}
    body = {
        "id": reply.completion_id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [_message(index, choice, behaviour) for index, choice in enumerate(reply.choices)],
        **({} if behaviour.usage == "absent" else {"usage": usage}),
        "system_fingerprint": "",
    }
    return orjson.dumps(body | strange(behaviour))


def error_frames(shape: str, reply: Reply, after: int) -> Iterator[bytes]:
    """An error in mid-stream, as the server is known for that ``shape`` is named after."""
    base = _base(reply)
    delta = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    if shape == "openrouter":
        yield frame(base | {"choices": [delta], "error": {"code": 502, "message": "upstream died"}})
    elif shape == "deepinfra":
        yield frame(base | {"choices": None, "error_type": "server_error", "error_message": "The engine died."})
    else:
        yield (b"event: error\n" if shape == "event" else b"") + (foreign_error(shape) or foreign_error("openai"))
        if shape == "vllm":
            yield DONE


def _chunks(reply: Reply, request: ChatRequest, behaviour: Behaviour, rng: Random) -> Iterator[bytes]:
    usage_at = usage_place(request, behaviour)
    base = _base(reply) | ({"usage": None} if usage_at == "chunk" else {})
    unknown = strange(behaviour)
    joined = ends_joined(behaviour, rng)
    deltas = [_deltas(index, choice, behaviour, joined, rng) for index, choice in enumerate(reply.choices)]
    open_choices = len(deltas)
    null_at = rng.randint(1, 3) if behaviour.null_choices else 0
    for number, choice in enumerate(turns(deltas)):
        if null_at and number == null_at:
            yield frame(base | {"choices": None})
        body = base | {"choices": [choice | unknown]} | unknown
        if "finish_reason" in choice and choice["finish_reason"] is not None:
            open_choices -= 1
            if usage_at == "finish" and open_choices == 0:
                body["usage"] = plain_usage(reply)
        yield frame(body)
    if usage_at == "chunk":
        yield frame(base | {"choices": [], "usage": _detailed_usage(reply)})


def _deltas(index: int, choice: Choice, behaviour: Behaviour, joined: bool, rng: Random) -> Iterator[Json]:
    """One choice, delta by delta. With ``joined`` its end stands on the last one that says something."""
    quirk = {"quirk": [1, None]} if behaviour.unknown_keys else {}
    role: Json = {"role": "assistant"}
    yield _delta(index, role | quirk)
    said = [*_reasoning(choice, behaviour), *({"content": piece} for piece in choice.content), *_calls(choice)]
    last = len(said) - 1 if joined and choice.finish_reason is not None else -1
    for place, delta in enumerate(said):
        if rng.random() < FILLER_RATE:
            yield _delta(index, {})
        yield _delta(index, delta | quirk, choice.finish_reason if place == last else None)
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
    } | strange(behaviour)


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


def _detailed_usage(reply: Reply) -> Json:
    """The further keys that were seen in 2026."""
    return plain_usage(reply) | {
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "image_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        "cache_read_input_tokens": 0,
    }


def _tools(body: Json, last: Json) -> tuple[Json, ...]:
    """The functions that a model would call now."""
    tools = body.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) and "function" in tool for tool in tools):
        raise InvalidSubmission("tools is not a list of functions")
    chosen = body.get("tool_choice")
    name = object_in(chosen, "function").get("name") if isinstance(chosen, dict) else None
    answered = last.get("role") == "tool"
    return callable_now([tool["function"] for tool in tools], name, forbidden=answered or chosen == "none")


def _reasons(model_id: str, body: Json) -> str:
    """Where reasoning is seen: R1 streams ``<think>`` unless asked to separate it; ``enable_thinking`` is on."""
    if "-r1" in model_id:
        return "content" if flag(body, "separate_reasoning") else "think"
    thinks = "glm-4.5" in model_id or "kimi-k2-thinking" in model_id
    if not thinks or body.get("enable_thinking") is False:
        return ""
    return "details" if "kimi" in model_id else "content"


CHAT_COMPLETIONS = Api(
    bases=OPENAI_BASES,
    route="chat/completions",
    ids=("chatcmpl-", ""),  # with and without the prefix, as observed in different years
    read=read,
    stream=stream,
    document=document,
    error_frames=error_frames,
)
