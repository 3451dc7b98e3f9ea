"""Chat completions, ``POST …/chat/completions``.

https://platform.openai.com/docs/api-reference/chat-streaming, and whatever else compatible servers send.

Why relay does not use OpenAI's own ``ChatCompletionStreamState``: it takes one model object per chunk and bounds
nothing. Here a run of chunks that differ in one text is added at once (``keep``): a part of the 1.1 us a frame in
``relay/core/chat/sse.py``.
"""

from __future__ import annotations

from typing import Any, Final

from relay.apis._openai import BASE, PREFIXES, Choices, error_body, error_frame
from relay.core.chat.api import Api
from relay.core.chat.assembly import Parts, bare, joined, word
from relay.core.chat.error import upstream_error


class ChatCompletion(Choices):
    """``choices`` of ``delta`` or ``message``."""

    ordinary = frozenset("id object created model choices usage system_fingerprint service_tier provider".split())

    def only_text(self, chunk: Any) -> tuple[list[str], str] | None:
        choice = self.only_choice(chunk)
        if choice is None:
            return None
        index, delta = choice.get("index"), choice.get("delta")
        parts = self._choices.get(index if type(index) is int else 0)
        return _only_text(parts, delta) if parts is not None and type(delta) is dict else None

    def add_choice(self, parts: Parts, choice: dict[str, Any], said: str) -> None:
        delta = choice.get(said)
        if type(delta) is dict and delta:
            content = delta.get("content")
            if content is not None:
                self.keep_text(parts.content, content if type(content) is str else joined(content, "text"))
            if len(delta) > 1 or content is None:
                self._add_rest(parts, delta)
        if choice.get("finish_reason") == "error":
            self.error = self.error or upstream_error(None, None, None)

    def _add_rest(self, parts: Parts, delta: dict[str, Any]) -> None:
        """Everything that is not content."""
        parts.role = parts.role or word(delta.get("role"))
        reasoning = _reasoning(delta)
        if reasoning is not None:
            self.keep_text(parts.reasoning, reasoning)
        calls = delta.get("tool_calls")
        if type(calls) is list:
            for call in calls:
                if type(call) is dict:
                    self._add_call(parts, call)

    def _add_call(self, parts: Parts, call: dict[str, Any]) -> None:
        function = call.get("function")
        if type(function) is not dict:
            function = {}
        kept = self.add_call(parts, call.get("index"), call.get("id"), call.get("type"), function.get("name"))
        arguments = function.get("arguments")
        if kept is not None and type(arguments) is str:
            self.keep_text(kept.arguments, arguments)

    @staticmethod
    def bare_choice(choice: dict[str, Any]) -> dict[str, Any]:
        kept = bare(choice, ("index", "finish_reason"))
        delta = choice.get("delta")
        if type(delta) is dict:
            kept["delta"] = bare(delta, ("role",))
            calls = delta.get("tool_calls")
            if type(calls) is list:
                kept["delta"]["tool_calls"] = [_bare_call(call) for call in calls if type(call) is dict]
        return kept


def _only_text(parts: Parts, delta: dict[str, Any]) -> tuple[list[str], str] | None:
    """If a delta adds nothing but one text: where that is kept, and the text."""
    content, reasoning = delta.get("content"), _reasoning(delta)
    if delta.get("tool_calls"):
        return None if content or reasoning else _only_arguments(parts, delta["tool_calls"])
    if content and type(content) is str:
        return (parts.content, content) if reasoning is None else None
    return (parts.reasoning, reasoning) if reasoning is not None and not content else None


def _only_arguments(parts: Parts, calls: Any) -> tuple[list[str], str] | None:
    call = calls[0] if type(calls) is list and len(calls) == 1 else None
    if type(call) is not dict or type(call.get("index")) is not int or call.get("index") not in parts.calls:
        return None
    function = call.get("function")
    arguments = function.get("arguments") if type(function) is dict else None
    return (parts.calls[call["index"]].arguments, arguments) if arguments and type(arguments) is str else None


def _reasoning(delta: dict[str, Any]) -> str | None:
    """Of one delta: servers that send the text under two names at once mean it once."""
    for key in ("reasoning_content", "reasoning"):
        value = delta.get(key)
        if value and type(value) is str:
            return value
    details = delta.get("reasoning_details")
    return (joined(details, "text") or joined(details, "summary") or None) if details else None


def _bare_call(call: dict[str, Any]) -> dict[str, Any]:
    kept = bare(call, ("index", "id", "type"))
    function = call.get("function")
    if type(function) is dict and "name" in function:
        kept["function"] = {"name": function["name"]}
    return kept


API: Final = Api(
    prefixes=PREFIXES,
    route="/chat/completions",
    assembly=ChatCompletion,
    error_body=error_body,
    error_frame=error_frame,
    example={"model": "deepseek/deepseek-v3.1", "messages": [{"role": "user", "content": "Hello"}], "stream": True},
    base=BASE,
    beside=("/embeddings", "/models"),
)
