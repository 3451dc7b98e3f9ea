"""What of a chat request goes into its events: ``capture.request`` is ``none``, ``metadata`` or ``full``."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from relay.core.chat import RequestData
from relay.core.chat_json import write_json

RequestCapture = Literal["none", "metadata", "full"]

MAX_MESSAGES: Final = 256 * 1024
"""Bytes of messages and tools that an event carries: they are in two events of each stream, beside the answer."""

_MAX_PARAMETERS: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_WORDS: Final = frozenset(("reasoning_effort", "service_tier", "tool_choice", "verbosity"))


def request_data(document: dict[str, Any], size: int, capture: RequestCapture) -> RequestData | None:
    """What may be told of a request. ``document`` is its body, parsed; ``size`` the bytes of it."""
    if capture == "none":
        return None
    messages, tools = document.get("messages"), document.get("tools")
    data: RequestData = {
        "parameters": _parameters(document),
        "messages_count": len(messages) if isinstance(messages, list) else None,
        "tools_count": len(tools) if isinstance(tools, list) else 0,
        "bytes": size,
        "messages": None,
        "tools": None,
    }
    if capture == "full" and len(write_json([messages, tools])) <= MAX_MESSAGES:
        data["messages"] = messages if isinstance(messages, list) else None
        data["tools"] = tools if isinstance(tools, list) else None
    return data


def _parameters(document: dict[str, Any]) -> dict[str, Any]:
    """Numbers and switches under whatever name, since models get new ones; texts only where they are known words."""
    told: dict[str, Any] = {}
    for key, value in document.items():
        if len(told) < _MAX_PARAMETERS and _NAME.fullmatch(key) and _is_plain(key, value):
            told[key] = value
    options, form = document.get("stream_options"), document.get("response_format")
    if isinstance(options, dict) and isinstance(options.get("include_usage"), bool):
        told["include_usage"] = options["include_usage"]
    if isinstance(form, dict) and _is_word(form.get("type")):
        told["response_format"] = form["type"]
    return told


def _is_plain(key: str, value: Any) -> bool:
    return isinstance(value, bool | int | float) or (key in _WORDS and _is_word(value))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None
