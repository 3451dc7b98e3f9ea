"""Messages, as Anthropic's pages and SDK have them: first the message as the SDK would have it, then its summary."""

from __future__ import annotations

import json
from typing import Any

from tests.chat_reference import answer, flat_error

END = ""
TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
KINDS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "tool_use"}


def error_in(document: dict[str, Any]) -> dict[str, Any] | None:
    """Of what is no message, nor an event with a part of one."""
    return None if "content" in document or "message" in document.get("type", "") else flat_error(document)


def summary(documents: list[dict[str, Any]], *, streamed: bool) -> dict[str, Any]:
    """A body is its message; a stream's events are applied to one, in order."""
    if streamed:
        message = applied(documents)
    else:
        message = {"blocks": {}, "order": [], "usage": {}} | (documents[0] if documents else {})
        message["begun"] = "role" in message
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else []):
            begin(message, index, block)
    usage = message["usage"] or None
    return {
        "completion_id": message.get("id"),
        "model": message.get("model"),
        "usage": usage,
        "tokens": tokens(usage or {}),
        "usage_source": "reported" if usage else "absent",
        "choices": [choice_of(message)] if message["begun"] else [],
        "done": any(document.get("type") == "message_stop" for document in documents),
    }


def applied(events: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"blocks": {}, "order": [], "usage": {}, "begun": False}
    for event in events:
        kind, index = event.get("type"), event.get("index", 0)
        if kind == "message_start":
            started = event["message"]
            message |= {key: message.get(key) or started.get(key) for key in ("id", "model", "role")}
            message["usage"] |= {key: value for key, value in started.get("usage", {}).items() if value is not None}
            message["begun"] = True
        elif kind == "content_block_start":
            begin(message, index, event["content_block"])
        elif kind == "content_block_delta":
            go_on(message, index, event["delta"])
        elif kind == "message_delta":
            message["usage"] |= {key: value for key, value in event.get("usage", {}).items() if value is not None}
            reason = event["delta"].get("stop_reason")
            message["stop_reason"] = reason or message.get("stop_reason")
            message["begun"] = message["begun"] or bool(reason)
    return message


def begin(message: dict[str, Any], index: int, block: dict[str, Any]) -> None:
    if block["type"] in ("text", "thinking", "tool_use", "server_tool_use", "mcp_tool_use"):
        message["blocks"][index] = {"type": block["type"], "said": block.get(block["type"], ""), "pieces": ""} | {
            key: block[key] for key in ("id", "name", "input") if key in block
        }
        message["order"].append(index)
        message["begun"] = True


def go_on(message: dict[str, Any], index: int, delta: dict[str, Any]) -> None:
    if delta.get("type") not in TEXTS:
        return
    if index not in message["blocks"]:
        begin(message, index, {"type": KINDS[delta["type"]]})
    message["blocks"][index]["pieces"] += delta[TEXTS[delta["type"]]]


def choice_of(message: dict[str, Any]) -> dict[str, Any]:
    blocks = message["blocks"]
    content, thoughts = (
        [blocks[index]["said"] + blocks[index]["pieces"] for index in sorted(blocks) if blocks[index]["type"] == kind]
        for kind in ("text", "thinking")
    )
    calls = [blocks[index] for index in message["order"] if blocks[index]["type"] not in ("text", "thinking")]
    return answer(
        role=message.get("role"),
        content="".join(content) if content else None,
        reasoning="".join(thoughts) if thoughts else None,
        calls=[
            (
                call.get("id"),
                "function" if call["type"] == "tool_use" else call["type"],
                call.get("name"),
                call["pieces"] or given(call.get("input"), whole="content" in message),
            )
            for call in calls
        ],
        finish_reason=message.get("stop_reason"),
    )


def given(said: Any, *, whole: bool) -> str:
    """An input that came at once; in a stream an empty one stands for the pieces that come."""
    if said is None or (not said and not whole):
        return ""
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False)


def tokens(usage: dict[str, Any]) -> dict[str, Any]:
    """Anthropic's ``input_tokens`` are those that no cache had to do with."""
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    fresh = usage.get("input_tokens")
    return {
        "input": None if fresh is None else fresh + (read or 0) + (written or 0),
        "output": usage.get("output_tokens"),
        "cached": read,
        "cache_written": written,
        "reasoning": (usage.get("output_tokens_details") or {}).get("thinking_tokens"),
    }
