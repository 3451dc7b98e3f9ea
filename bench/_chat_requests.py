"""The requests of ``bench/chat.py``: what a client of each API of conversations asks."""

from __future__ import annotations

import json
from typing import Any, Final

PATHS: Final = {
    "chat_completions": "/openai/v1/chat/completions",
    "completions": "/openai/v1/completions",
    "responses": "/openai/v1/responses",
    "messages": "/anthropic/v1/messages",
}
"""Each API, and where it is called."""

_QUESTION: Final = "What do you think about that? " * 20
_SAID: Final[dict[str, dict[str, Any]]] = {
    "chat_completions": {"messages": [{"role": "user", "content": _QUESTION}]},
    "completions": {"prompt": _QUESTION},
    "responses": {"input": _QUESTION},
    "messages": {"max_tokens": 1000, "messages": [{"role": "user", "content": _QUESTION}]},
}


def body(api: str, *, stream: bool) -> str:
    """The JSON of one request."""
    return json.dumps({"model": "deepseek/deepseek-v3", "stream": stream, **_SAID[api]})
