"""What is known of chats, in the words of OpenTelemetry's semantic conventions for generative AI, v0.1.0. Pure.

That is the first release of https://github.com/open-telemetry/semantic-conventions-genai, where they moved after
v1.41.0 of the general ones (status: development): docs/gen-ai/client-inference.md there. No message and no answer,
but in an event whose setting says so.
"""

from __future__ import annotations

from typing import Any, Final

from relay.core.chat.events import ChatData, Choice, Opening
from relay.telemetry.spans import Attributes

PROVIDER: Final = "novita"
"""``gen_ai.provider.name``: the convention's list of known ones is open."""

EVENT: Final = "gen_ai.client.inference.operation.details"

MAX_NAME: Final = 100
"""Characters of a model's name in a metric: clients write what they like."""

# Responses are a chat, too: the conventions have no word of their own for them.
_OPERATIONS: Final = {"completions": "text_completion"}
_TOKENS: Final = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cached": "cache_read.input_tokens",
    "cache_written": "cache_write.input_tokens",
    "reasoning": "reasoning.output_tokens",
}


def operation(api: str | None) -> str:
    """``gen_ai.operation.name`` of one of relay's APIs: ``chat``, but for completions without one."""
    return _OPERATIONS.get(api or "", "chat")


def span_name(opening: Opening) -> str:
    """The operation and its model."""
    name = operation(opening.api)
    return f"{name} {opening.model_asked}" if opening.model_asked else name


def request_attributes(opening: Opening) -> Attributes:
    """Of a chat that begins."""
    return {
        "gen_ai.operation.name": operation(opening.api),
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": opening.model_asked,
        "gen_ai.request.stream": opening.stream,
        "relay.chat.id": opening.chat_id,
        "relay.chat.api": opening.api,
        "relay.client": opening.client,
    }


def answer_attributes(data: ChatData) -> Attributes:
    """Of a chat that has ended, by what its terminal event says. Times in seconds."""
    tokens, timings = data["tokens"], data["timings"]
    reasons = [choice["finish_reason"] for choice in data["choices"] if choice["finish_reason"]]
    return {
        "gen_ai.response.id": data["completion_id"],
        "gen_ai.response.model": _answered(data),
        "gen_ai.response.finish_reasons": reasons or None,
        "gen_ai.response.time_to_first_chunk": _seconds(timings["first_byte_ms"]) if data["chunks"] else None,
        "gen_ai.usage.input_tokens": tokens["input"],
        "gen_ai.usage.output_tokens": tokens["output"],
        # The conventions want those that are parts of others only where they are not 0.
        "gen_ai.usage.cache_read.input_tokens": tokens["cached"] or None,
        "gen_ai.usage.cache_write.input_tokens": tokens["cache_written"] or None,
        "gen_ai.usage.reasoning.output_tokens": tokens["reasoning"] or None,
        "http.response.status_code": data["http_status"],
        "relay.chat.time_to_first_token": _seconds(timings["first_token_ms"]),
        "relay.chat.outcome": data["outcome"],
        "relay.chat.reason": data["reason"],
        "relay.chat.chunks": data["chunks"],
    }


def metric_attributes(asked: str | None, data: ChatData) -> dict[str, str]:
    """Of the metrics of a chat."""
    found = {
        "gen_ai.operation.name": operation(data["api"]),
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": asked,
        "gen_ai.response.model": _answered(data),
        "error.type": failure(data),
    }
    return {name: value[:MAX_NAME] for name, value in found.items() if value}


def tokens_counted(data: ChatData) -> dict[str, int]:
    """What a chat adds to the counters ``gen_ai.client.inference.usage.…``, by the rest of their names."""
    tokens = data["tokens"]
    return {name: number for kind, name in _TOKENS.items() if (number := tokens.get(kind))}  # type: ignore[misc]


def event_attributes(asked: str | None, data: ChatData, *, content: bool) -> dict[str, Any]:
    """Of the event ``EVENT``. ``content``: with what was said, as far as it is captured at all."""
    found: dict[str, Any] = {
        "gen_ai.operation.name": operation(data["api"]),
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": asked,
        **answer_attributes(data),
        "error.type": failure(data),
        "relay.chat.id": data["chat_id"],
        "relay.chat.api": data["api"],
        "relay.client": data["client"],
    }
    if content:
        found |= _content(data)
    return {name: value for name, value in found.items() if value is not None}


def _content(data: ChatData) -> dict[str, Any]:
    request = data["request"]
    system, messages = (request["system"], request["messages"]) if request is not None else (None, None)
    return {
        "gen_ai.system_instructions": _parts(system) or None,
        "gen_ai.input.messages": [_message(each) for each in _listed(messages)] or None,
        "gen_ai.output.messages": [_output(choice) for choice in data["choices"]] or None,
    }


def _listed(messages: str | list[Any] | None) -> list[Any]:
    return [messages] if isinstance(messages, str) else messages or []


def _message(said: Any) -> dict[str, Any]:
    """``role`` and ``parts`` of one message as it was sent; a text alone is the user's."""
    if not isinstance(said, dict):
        return {"role": "user", "parts": _parts(said)}
    role = said.get("role")
    return {"role": role if isinstance(role, str) else "user", "parts": _parts(said.get("content"))}


def _parts(content: Any) -> list[dict[str, Any]]:
    """A text is a part; of a list each member is one, whatever the vendor calls its type."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_part(each) for each in content] if isinstance(content, list) else []


def _part(said: Any) -> dict[str, Any]:
    if isinstance(said, dict) and isinstance(said.get("text"), str):
        return {"type": "text", "content": said["text"]}
    kind = said.get("type") if isinstance(said, dict) else None
    return {"type": kind if isinstance(kind, str) else "unknown"}


def _output(choice: Choice) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"type": kind, "content": text}
        for kind, text in (("reasoning", choice["reasoning_content"]), ("text", choice["content"]))
        if text
    ]
    for call in choice["tool_calls"]:
        name, arguments = call["function"]["name"] or "", call["function"]["arguments"]
        parts.append({"type": "tool_call", "id": call["id"] or "", "name": name, "arguments": arguments or ""})
    return {"role": choice["role"] or "assistant", "parts": parts, "finish_reason": choice["finish_reason"] or ""}


def failure(data: ChatData) -> str | None:
    """``error.type``: the reason of a chat that failed."""
    return data["reason"] if data["outcome"] == "failed" else None


def _answered(data: ChatData) -> str | None:
    return data["model"] if data["completion_id"] else None


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
