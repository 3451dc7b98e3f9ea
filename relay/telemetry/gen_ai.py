"""What a chat's span carries, by OpenTelemetry's semantic conventions for generative AI. Pure.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (status: development). No message, no answer.
"""

from __future__ import annotations

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
    tokens, timings = data["tokens"], data["timings"]
    reasons = [choice["finish_reason"] for choice in data["choices"] if choice["finish_reason"]]
    return {
        "gen_ai.response.id": data["completion_id"],
        "gen_ai.response.model": data["model"] if data["completion_id"] else None,
        "gen_ai.response.finish_reasons": reasons or None,
        "gen_ai.response.time_to_first_chunk": _seconds(timings["first_byte_ms"]),
        "gen_ai.usage.input_tokens": tokens["input"],
        "gen_ai.usage.output_tokens": tokens["output"],
        "gen_ai.usage.cache_read.input_tokens": tokens["cached"],
        "gen_ai.usage.reasoning.output_tokens": tokens["reasoning"],
        "http.response.status_code": data["http_status"],
        "relay.chat.time_to_first_token": _seconds(timings["first_token_ms"]),
        "relay.chat.outcome": data["outcome"],
        "relay.chat.reason": data["reason"],
        "relay.chat.chunks": data["chunks"],
    }


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
