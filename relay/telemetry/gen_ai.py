"""What a chat's span carries, in the words of OpenTelemetry's semantic conventions for generative AI. Pure.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (status: development). No message, no answer.
"""

from __future__ import annotations

from typing import Any

from relay.core.chat.events import ChatData, Opening
from relay.telemetry.spans import Attributes

PROVIDER = "novita"
"""``gen_ai.provider.name``: the convention's list of known ones is open."""


def request_attributes(opening: Opening) -> Attributes:
    """Of a chat that begins."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": opening.model_asked,
        "gen_ai.request.stream": opening.stream,
        "relay.chat.id": opening.chat_id,
        "relay.client": opening.client,
    }


def answer_attributes(data: ChatData) -> Attributes:
    """Of a chat that has ended, by what its terminal event says. Times in seconds."""
    usage, timings = data["usage"] or {}, data["timings"]
    reasons = [choice["finish_reason"] for choice in data["choices"] if choice["finish_reason"]]
    return {
        "gen_ai.response.id": data["completion_id"],
        "gen_ai.response.model": data["model"] if data["completion_id"] else None,
        "gen_ai.response.finish_reasons": reasons or None,
        "gen_ai.response.time_to_first_chunk": _seconds(timings["first_byte_ms"]),
        "gen_ai.usage.input_tokens": _count(usage.get("prompt_tokens")),
        "gen_ai.usage.output_tokens": _count(usage.get("completion_tokens")),
        "gen_ai.usage.cache_read.input_tokens": _count(_detail(usage, "prompt_tokens_details", "cached_tokens")),
        "gen_ai.usage.reasoning.output_tokens": _count(_detail(usage, "completion_tokens_details", "reasoning_tokens")),
        "http.response.status_code": data["http_status"],
        "relay.chat.time_to_first_token": _seconds(timings["first_token_ms"]),
        "relay.chat.outcome": data["outcome"],
        "relay.chat.reason": data["reason"],
        "relay.chat.chunks": data["chunks"],
    }


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _detail(usage: dict[str, Any], key: str, detail: str) -> object:
    details = usage.get(key)
    return details.get(detail) if isinstance(details, dict) else None


def _count(tokens: object) -> int | None:
    """The upstream wrote it: anything may stand there."""
    return tokens if type(tokens) is int and 0 <= tokens < 1 << 40 else None
