"""What OpenAI's APIs share: where they are, the shape of their errors, and how they count tokens."""

from __future__ import annotations

from typing import Any, Final

import orjson

from relay.core.chat.assembly import count
from relay.core.chat.events import Tokens

PREFIXES: Final = ("/openai/", "/v3/openai/")
"""Novita's current base and its older ones; ``/v3/openai/v1`` is in use, too."""


def error_body(status: int, code: str, message: str) -> bytes:
    """The JSON that OpenAI's SDKs turn into an ``APIError`` with this message.

    Source: https://platform.openai.com/docs/guides/error-codes
    """
    return orjson.dumps({"error": openai_error(status, code, message)})


def openai_error(status: int, code: str, message: str) -> dict[str, str | None]:
    """The error itself."""
    return {"message": message, "type": _kind(status), "param": None, "code": code}


def error_frame(status: int, code: str, message: str) -> bytes:
    """The same within a stream: the SDKs raise it."""
    return b"data: " + error_body(status, code, message) + b"\n\n"


def openai_tokens(usage: dict[str, Any] | None) -> Tokens:
    """``prompt_tokens`` and ``completion_tokens``, or ``input_tokens`` and ``output_tokens``, with their details."""
    usage = usage or {}
    input_details = _details(usage, "prompt_tokens_details", "input_tokens_details")
    output_details = _details(usage, "completion_tokens_details", "output_tokens_details")
    return {
        "input": count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        "output": count(usage.get("completion_tokens", usage.get("output_tokens"))),
        "cached": count(input_details.get("cached_tokens")),
        "cache_written": count(input_details.get("cache_creation_tokens", input_details.get("cache_write_tokens"))),
        "reasoning": count(output_details.get("reasoning_tokens")),
    }


def _details(usage: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        if isinstance(details := usage.get(key), dict):
            return details
    return {}


def _kind(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
