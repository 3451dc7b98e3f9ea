"""What a chat's span carries, by OpenTelemetry's semantic conventions for generative AI. Pure.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (status: development). No message, no answer.
"""

from __future__ import annotations

from typing import Any

from relay.core.chat.events import ChatData, Opening
from relay.telemetry.spans import Attributes

PROVIDER = "novita"
"""``gen_ai.provider.name``: the convention's list of known ones is open."""

_TOKENS = {"prompt_tokens": "input", "completion_tokens": "output"}  # gen_ai.token.type of OpenTelemetry
_DETAILS = {
    ("prompt_tokens_details", "cached_tokens"): "cached",
    ("completion_tokens_details", "reasoning_tokens"): "reasoning",
}


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
    tokens, timings = token_counts(data["usage"] or {}), data["timings"]
    reasons = [choice["finish_reason"] for choice in data["choices"] if choice["finish_reason"]]
    return {
        "gen_ai.response.id": data["completion_id"],
        "gen_ai.response.model": data["model"] if data["completion_id"] else None,
        "gen_ai.response.finish_reasons": reasons or None,
        "gen_ai.response.time_to_first_chunk": _seconds(timings["first_byte_ms"]),
        "gen_ai.usage.input_tokens": tokens.get("input"),
        "gen_ai.usage.output_tokens": tokens.get("output"),
        "gen_ai.usage.cache_read.input_tokens": tokens.get("cached"),
        "gen_ai.usage.reasoning.output_tokens": tokens.get("reasoning"),
        "http.response.status_code": data["http_status"],
        "relay.chat.time_to_first_token": _seconds(timings["first_token_ms"]),
        "relay.chat.outcome": data["outcome"],
        "relay.chat.reason": data["reason"],
        "relay.chat.chunks": data["chunks"],
    }


def token_counts(usage: dict[str, Any]) -> dict[str, int]:
    """Tokens by kind. The upstream wrote it and anything may stand there: what is no number of tokens is left out."""
    found = {kind: usage.get(key) for key, kind in _TOKENS.items()}
    for (key, detail), kind in _DETAILS.items():
        details = usage.get(key)
        found[kind] = details.get(detail) if isinstance(details, dict) else None
    return {kind: tokens for kind, tokens in found.items() if type(tokens) is int and 0 <= tokens < 1 << 40}


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
