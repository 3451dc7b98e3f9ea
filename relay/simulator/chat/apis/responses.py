"""Responses, OpenAI's API of items and numbered events; the vendor has no page of it. Pure.

The shapes are those of https://platform.openai.com/docs/api-reference/responses-streaming and of the types in its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import orjson

from relay.simulator.chat.apis.api import OPENAI_BASES, OVERLOADED, Api, foreign_error, framed, named_frame, strange
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import Choice, Reply, ToolCall
from relay.simulator.chat.request import ChatRequest, callable_now, flag, list_of, max_tokens, model, text
from relay.simulator.requests import InvalidSubmission, Json, object_in

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_SUMMARIES = ("details", "both")
"""The styles of reasoning that show a summary of it."""


def read(body: Json) -> ChatRequest:
    """Raises ``InvalidSubmission``."""
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else list_of(body, "input")
    texts = [text(body.get("instructions")), *map(_text, items)]
    return ChatRequest(
        model=model(body),
        stream=flag(body, "stream"),
        include_usage=True,
        choices=1,
        max_tokens=max_tokens(body, "max_output_tokens"),
        prompt=texts[-1],
        prompt_tokens=sum(4 + len(each.split()) for each in texts if each),
        tools=_tools(body, items[-1]),
        reasons=_reasons(object_in(body, "reasoning")),
    )


def stream(reply: Reply, request: ChatRequest, behaviour: Behaviour, rng: Random) -> Iterator[bytes]:
    """Every frame of a stream that ends well."""
    numbered = (event | {"sequence_number": number} for number, event in enumerate(_events(reply, behaviour, rng)))
    return framed(numbered, behaviour)


def document(reply: Reply, behaviour: Behaviour) -> bytes:
    """The answer in one piece."""
    return orjson.dumps(_ended(reply, behaviour) | strange(behaviour))


def error_frames(shape: str, reply: Reply, after: int) -> Iterator[bytes]:
    """An error in mid-stream: by default an ``error`` event; with ``failed`` the response has failed."""
    event: Json = {"type": "error", "code": "server_error", "message": OVERLOADED, "param": None}
    if shape == "failed":
        failed = _response(reply, "failed") | {"error": {"code": "server_error", "message": OVERLOADED}}
        event = {"type": "response.failed", "response": failed}
    yield foreign_error(shape) or named_frame(event | {"sequence_number": after})


def _events(reply: Reply, behaviour: Behaviour, rng: Random) -> Iterator[Json]:
    # Twice the same: a response that is queued first would be created long before it is in progress.
    begun = _response(reply, "in_progress")
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(_items(reply, behaviour)):
        yield {"type": "response.output_item.added", "output_index": index, "item": _as_added(item)}
        place = {"item_id": item["id"], "output_index": index}
        for event in _growth(item, reply.choices[0], behaviour, rng):
            yield event | place
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    ended = _ended(reply, behaviour)
    yield {"type": f"response.{ended['status']}", "response": ended}


def _growth(item: Json, choice: Choice, behaviour: Behaviour, rng: Random) -> Iterator[Json]:
    """What comes between an item's beginning and its end."""
    if item["type"] == "function_call":
        call = next(call for call in choice.tool_calls if call.call_id == item["call_id"])
        yield from _deltas("response.function_call_arguments", {}, call.arguments, rng)
        yield {"type": "response.function_call_arguments.done", "arguments": item["arguments"], "name": item["name"]}
    elif item["type"] == "message":
        yield from _part("response.content_part", "response.output_text", "content_index", choice.content, rng)
    else:
        if item["summary"]:
            part = "response.reasoning_summary_part"
            yield from _part(part, "response.reasoning_summary_text", "summary_index", choice.reasoning, rng)
        if "content" in item:
            yield from _part("response.content_part", "response.reasoning_text", "content_index", choice.reasoning, rng)


def _part(part: str, said: str, index: str, pieces: tuple[str, ...], rng: Random) -> Iterator[Json]:
    """One part of an item: added, said piece by piece, done."""
    place, whole = {index: 0}, "".join(pieces)
    logprobs: Json = {"logprobs": []} if said == "response.output_text" else {}
    yield {"type": f"{part}.added", "part": _content(said, "")} | place
    yield from _deltas(said, place | logprobs, pieces, rng)
    yield {"type": f"{said}.done", "text": whole} | place | logprobs
    yield {"type": f"{part}.done", "part": _content(said, whole)} | place


def _deltas(said: str, place: Json, pieces: tuple[str, ...], rng: Random) -> Iterator[Json]:
    """``obfuscation`` makes each frame as long as any other, whatever its text."""
    for piece in pieces:
        noise = f"{rng.getrandbits(64):016x}"[: max(1, 16 - len(piece))]
        yield {"type": f"{said}.delta", "delta": piece, "obfuscation": noise} | place


def _items(reply: Reply, behaviour: Behaviour) -> Iterator[Json]:
    """The output as it is at the end."""
    [choice], key = reply.choices, reply.completion_id.partition("_")[2]
    if choice.reasoning:
        thought, style = "".join(choice.reasoning), behaviour.reasoning
        summary = [_content("response.reasoning_summary_text", thought)] if style in _SUMMARIES else []
        texts = {} if style == "details" else {"content": [_content("response.reasoning_text", thought)]}
        yield {"id": f"rs_{key}", "type": "reasoning", "summary": summary} | texts
    if choice.content:
        content = [_content("response.output_text", "".join(choice.content))]
        status = "incomplete" if choice.finish_reason in _INCOMPLETE else "completed"
        yield {"id": f"msg_{key}", "type": "message", "status": status, "role": "assistant", "content": content}
    for call in choice.tool_calls:
        yield _call(call)


def _call(call: ToolCall) -> Json:
    return {
        "id": f"fc_{call.call_id.removeprefix('call_')}",
        "type": "function_call",
        "status": "completed",
        "call_id": call.call_id,
        "name": call.name,
        "arguments": "".join(call.arguments),
    }


def _as_added(item: Json) -> Json:
    """An item before anything of it was said."""
    empty: dict[str, Any] = {"summary": [], "content": [], "arguments": "", "status": "in_progress"}
    return {key: empty.get(key, value) for key, value in item.items()}


def _content(said: str, whole: str) -> Json:
    kind = said.removeprefix("response.").replace("reasoning_summary_text", "summary_text")
    more: Json = {"annotations": [], "logprobs": []} if kind == "output_text" else {}
    return {"type": kind, "text": whole} | more


def _ended(reply: Reply, behaviour: Behaviour) -> Json:
    reason = _INCOMPLETE.get(reply.choices[0].finish_reason or "")
    body = _response(reply, "incomplete" if reason else "completed") | {"output": list(_items(reply, behaviour))}
    if reason:
        body["incomplete_details"] = {"reason": reason}
    if behaviour.usage != "absent":
        body["usage"] = _usage(reply)
    return body


def _response(reply: Reply, status: str) -> Json:
    return {
        "id": reply.completion_id,
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": reply.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }


def _usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": reply.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }


def _reasons(reasoning: Json) -> str:
    if reasoning.get("summary"):
        return "details"
    return "content" if reasoning.get("effort") not in (None, "none") else ""


def _tools(body: Json, last: Json) -> tuple[Json, ...]:
    tools = body.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) and "type" in tool for tool in tools):
        raise InvalidSubmission("tools is not a list of tools")
    functions = [tool for tool in tools if tool["type"] == "function"]
    chosen = body.get("tool_choice")
    name = chosen.get("name") if isinstance(chosen, dict) else None
    return callable_now(functions, name, forbidden=chosen == "none" or last.get("type") == "function_call_output")


def _text(item: Json) -> str:
    return text(item.get("content")) or text(item.get("output"))


RESPONSES = Api(
    bases=OPENAI_BASES,
    route="responses",
    ids=("resp_",),
    read=read,
    stream=stream,
    document=document,
    error_frames=error_frames,
    ignores=("null_choices", "finish"),
)
