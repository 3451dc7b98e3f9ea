"""Recognizes errors of upstreams in every known format: as a body, as a frame, or in a chunk.

Shapes: OpenAI's ``{"error": {...}}`` or ``{"error": "text"}``, beside ``choices`` at OpenRouter; Novita's flat
``{"code", "reason", "message"}``; DeepInfra's ``error_type`` and ``error_message``; ``{"object": "error"}`` of older
vLLM; ``{"detail": ...}`` of FastAPI.
"""

from __future__ import annotations

import re
from typing import Any, Final

from relay.core.chat.events import UpstreamError
from relay.core.redact import REDACTED, scrub_text

MAX_MESSAGE: Final = 500
"""Characters of an upstream's message that an event carries."""

_MAX_WORD: Final = 100
_KEY: Final = re.compile(r"\b(?:bearer\s+|sk[-_])[A-Za-z0-9_*.~+/=-]{4,}", re.IGNORECASE)


def error_of(document: dict[str, Any]) -> UpstreamError | None:
    """The error in a chunk or a body; ``None`` if it has none. Takes any document, never raises."""
    error = document.get("error")
    if error:  # null, "" and {} are no error, as for the SDKs
        return _of_value(error)
    kind, text = document.get("error_type"), document.get("error_message")
    if kind or text:
        return upstream_error(None, kind, text)
    if isinstance(document.get("choices"), list):
        return None
    reason, message = document.get("reason"), document.get("message")
    if document.get("object") == "error" or (document.get("code") is not None and (reason or message)):
        return upstream_error(document.get("code"), reason or document.get("type"), message)
    return None


def error_of_status(document: Any, text: str) -> UpstreamError:
    """The error in the body of an error status: at the least the beginning of its text."""
    if isinstance(document, dict):
        found = error_of(document)
        if found is not None:
            return found
        return upstream_error(document.get("code"), document.get("type"), document.get("detail"))
    return upstream_error(None, None, text.strip() or None)


def upstream_error(code: Any, kind: Any, message: Any) -> UpstreamError:
    """An error as events report it: words of bounded length, and a message without addresses and keys."""
    return {"code": _word(code), "type": _word(kind), "message": _message(message)}


def _of_value(error: Any) -> UpstreamError:
    if isinstance(error, dict):
        kind = error.get("type") or error.get("reason")
        return upstream_error(error.get("code"), kind, error.get("message"))
    return upstream_error(None, None, error)


def _word(value: Any) -> str | None:
    if isinstance(value, str):
        return value[:_MAX_WORD] or None
    return str(value)[:_MAX_WORD] if isinstance(value, int | float) and not isinstance(value, bool) else None


def _message(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return _KEY.sub(REDACTED, scrub_text(value[: 4 * MAX_MESSAGE]))[:MAX_MESSAGE]
