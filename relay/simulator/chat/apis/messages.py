"""Messages, Anthropic's API, which the vendor offers for some models (guide llm-anthropic-compatibility). Pure.

The shapes are those of https://docs.claude.com/en/docs/build-with-claude/streaming and of the types in its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import orjson

from relay.simulator.chat.apis.api import OVERLOADED, Api, foreign_error, framed, named_frame, strange
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import Choice, Reply, ToolCall
from relay.simulator.chat.request import ChatRequest, callable_now, flag, list_of, max_tokens, model, text
from relay.simulator.requests import InvalidSubmission, Json, object_in

BASES = ("/anthropic/v1", "/anthropic")
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def read(body: Json) -> ChatRequest:
    """Raises ``InvalidSubmission``. ``max_tokens`` must be there, as Anthropic documents."""
    name, messages, most = model(body), list_of(body, "messages"), max_tokens(body, "max_tokens")
    if most is None:
        raise InvalidSubmission("max_tokens: Field required")
    return ChatRequest(
        model=name,
        stream=flag(body, "stream"),
        include_usage=True,
        choices=1,
        max_tokens=most,
        prompt=_text(messages[-1].get("content")),
        prompt_tokens=input_tokens(body),
        tools=_tools(body, messages[-1]),
        reasons="content" if object_in(body, "thinking").get("type") in ("enabled", "adaptive") else "",
    )


def input_tokens(body: Json) -> int:
    """What ``count_tokens`` says of a request. Raises ``InvalidSubmission``."""
    texts = [text(body.get("system")), *(_text(message.get("content")) for message in list_of(body, "messages"))]
    return sum(4 + len(each.split()) for each in texts if each)


def stream(reply: Reply, request: ChatRequest, behaviour: Behaviour, rng: Random) -> Iterator[bytes]:
    """Every frame of a stream that ends well."""
    return framed(_events(reply, behaviour), behaviour)


def document(reply: Reply, behaviour: Behaviour) -> bytes:
    """The answer in one piece."""
    blocks = []
    for begun, deltas in _blocks(reply.choices[0]):
        for delta in deltas:
            _grow(begun, delta)
        blocks.append(begun)
    body = _message(reply) | {"content": blocks, "stop_reason": _stop_reason(reply.choices[0])}
    usage = {} if behaviour.usage == "absent" else {"usage": _usage(reply, reply.completion_tokens)}
    return orjson.dumps(body | usage | strange(behaviour))


def error_frames(shape: str, reply: Reply, after: int) -> Iterator[bytes]:
    """An error in mid-stream: an event of its own, by default in Anthropic's shape."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": OVERLOADED}}
    yield foreign_error(shape) or named_frame(error)


def _events(reply: Reply, behaviour: Behaviour) -> Iterator[Json]:
    yield {"type": "message_start", "message": _message(reply) | {"usage": _usage(reply, 1)}}
    for index, (begun, deltas) in enumerate(_blocks(reply.choices[0])):
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        if index == 0:  # where Anthropic's examples have it; clients must bear one anywhere
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    usage = {} if behaviour.usage == "absent" else {"usage": {"output_tokens": reply.completion_tokens}}
    ending = {"stop_reason": _stop_reason(reply.choices[0]), "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending} | usage
    yield {"type": "message_stop"}


def _blocks(choice: Choice) -> Iterator[tuple[Json, list[Json]]]:
    """Each block of content as it begins, with its deltas."""
    if choice.reasoning:
        thought = [{"type": "thinking_delta", "thinking": piece} for piece in choice.reasoning]
        signed = {"type": "signature_delta", "signature": "c2lnbmVkIGJ5IG5vYm9keQ=="}
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*thought, signed]
    if choice.content:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in choice.content]
    for call in choice.tool_calls:
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *call.arguments)]
        yield {"type": "tool_use", "id": _call_id(call), "name": call.name, "input": {}}, pieces


def _grow(block: Json, delta: Json) -> None:
    """Adds a delta to its block, as a client does."""
    if delta["type"] == "input_json_delta":
        whole = block.pop("_json", "") + delta["partial_json"]
        try:
            block["input"] = orjson.loads(whole)
        except orjson.JSONDecodeError:
            block["_json"] = whole
    else:
        key = delta["type"].removesuffix("_delta")
        block[key] += delta[key]


def _message(reply: Reply) -> Json:
    return {
        "id": reply.completion_id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _usage(reply: Reply, output: int) -> Json:
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": reply.prompt_tokens} | cache | {"output_tokens": output}


def _stop_reason(choice: Choice) -> str | None:
    return _REASONS.get(choice.finish_reason or "", choice.finish_reason)


def _call_id(call: ToolCall) -> str:
    return "toolu_" + call.call_id.removeprefix("call_")


def _tools(body: Json, last: Json) -> tuple[Json, ...]:
    tools = body.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) and "name" in tool for tool in tools):
        raise InvalidSubmission("tools is not a list of tools")
    chosen, content = object_in(body, "tool_choice"), last.get("content")
    blocks = content if isinstance(content, list) else []
    answered = any(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)
    functions = [{"name": tool["name"], "parameters": tool.get("input_schema")} for tool in tools]
    return callable_now(functions, chosen.get("name"), forbidden=answered or chosen.get("type") == "none")


def _text(content: object) -> str:
    """The texts of a message; those of a tool's result are one level deeper."""
    if not isinstance(content, list):
        return text(content)
    results = [part.get("content") for part in content if isinstance(part, dict)]
    return " ".join(filter(None, (text(each) for each in (content, *results)))).strip()


MESSAGES = Api(
    bases=BASES,
    route="messages",
    ids=("msg_",),
    read=read,
    stream=stream,
    document=document,
    error_frames=error_frames,
    ignores=("null_choices", "finish"),
)
