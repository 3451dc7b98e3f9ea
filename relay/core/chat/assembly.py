"""Assembles what the model said, the ``choices`` of a terminal event, from the chunks of a stream or the body of an
answer.

Chunk objects: https://platform.openai.com/docs/api-reference/chat-streaming, and whatever else compatible servers send.
Anything may be missing, null or of another type; nothing here raises for it.

Why relay does not use OpenAI's own ``ChatCompletionStreamState``: it takes one model object per chunk and bounds
nothing. Here a run of chunks that differ in one text is added at once (``keep``): a part of the 1.1 us a frame in
``sse.py``. ``tests/unit/core/chat/test_tap.py`` holds the bounds.
"""

from __future__ import annotations

from typing import Any, Final

from relay.core.chat.error import error_of, upstream_error
from relay.core.chat.events import Choice, ToolCall, UpstreamError

MAX_TEXT: Final = 1_000_000
"""Characters of all texts of a stream that are kept: more than an event can carry."""

MAX_PARTS: Final = 1024
"""Choices, and tool calls of one choice, that are kept."""

MAX_WORD: Final = 1024
"""Characters of an id, a name, a role or a finish reason that are kept."""

_MANY: Final = 512
"""Pieces of a text after which they are joined: each costs 50 bytes on top of its own."""

_ORDINARY: Final = frozenset("id object created model choices usage system_fingerprint service_tier provider".split())


class Assembly:
    """What a stream has said so far. ``content``: whether its texts are kept. ``max_text``: how much of them.

    ``begun``: content, reasoning or a tool call came. ``finished``: a choice has its ``finish_reason``. ``truncated``:
    texts were left out, because there were too many.
    """

    def __init__(self, *, content: bool = True, max_text: int = MAX_TEXT) -> None:
        self.completion_id: str | None = None
        self.model: str | None = None
        self.usage: dict[str, Any] | None = None
        self.error: UpstreamError | None = None
        self.begun = False
        self.finished = False
        self.truncated = False
        self._content = content
        self._room = max_text
        self._choices: dict[int, _Parts] = {}

    @property
    def empty(self) -> bool:
        """Whether no choice came."""
        return not self._choices

    def add(self, chunk: dict[str, Any]) -> None:
        """One chunk of a stream."""
        self._add(chunk, "delta")

    def add_body(self, document: dict[str, Any]) -> None:
        """The whole answer to a request that asked for no stream."""
        self._add(document, "message")

    def only_text(self, chunk: Any) -> tuple[list[str], str] | None:
        """If all that a chunk would add, were it added again, is one text: where that is kept, and the text."""
        if type(chunk) is not dict or chunk.get("usage"):
            return None
        if not _ORDINARY.issuperset(chunk) and error_of(chunk) is not None:
            return None
        choices = chunk.get("choices")
        choice = choices[0] if type(choices) is list and len(choices) == 1 else None
        if type(choice) is not dict or choice.get("finish_reason"):
            return None
        index, delta = choice.get("index"), choice.get("delta")
        parts = self._choices.get(index if type(index) is int else 0)
        return parts.only_text(delta) if parts is not None and type(delta) is dict else None

    def keep(self, texts: list[str], said: list[str]) -> None:
        """What ``only_text`` found in some chunks: the texts of each, in order, for one place."""
        whole = "".join(said)
        if whole and len(whole) <= self._room:
            self._keep(texts, whole)
        else:
            for text in said:
                self._keep(texts, text)

    def choices(self) -> list[Choice]:
        """The choices in the order of their index."""
        return [self._choices[index].choice(index, self._content) for index in sorted(self._choices)]

    def _add(self, document: dict[str, Any], said: str) -> None:
        if not _ORDINARY.issuperset(document):
            self.error = self.error or error_of(document)
        if self.completion_id is None or self.model is None:
            self.completion_id = self.completion_id or _word(document.get("id"))
            self.model = self.model or _word(document.get("model"))
        usage = document.get("usage")
        if usage and type(usage) is dict:
            self.usage = usage
        choices = document.get("choices")
        if type(choices) is list:
            for position, choice in enumerate(choices):
                if type(choice) is dict:
                    self._add_choice(choice, position, said)

    def _add_choice(self, choice: dict[str, Any], position: int, said: str) -> None:
        index = choice.get("index")
        parts = self._parts(index if type(index) is int else position)
        if parts is None:
            return
        delta = choice.get(said)
        if type(delta) is dict and delta:
            content = delta.get("content")
            if content is not None:
                self._keep(parts.content, content if type(content) is str else _joined(content, "text"))
            if len(delta) > 1 or content is None:
                self._add_rest(parts, delta)
        finish = choice.get("finish_reason")
        if finish and type(finish) is str:
            parts.finish_reason = finish[:MAX_WORD]
            self.finished = True
            if finish == "error":
                self.error = self.error or upstream_error(None, None, None)

    def _add_rest(self, parts: _Parts, delta: dict[str, Any]) -> None:
        """Everything that is not content."""
        parts.role = parts.role or _word(delta.get("role"))
        reasoning = _reasoning(delta)
        if reasoning is not None:
            self._keep(parts.reasoning, reasoning)
        calls = delta.get("tool_calls")
        if type(calls) is list:
            for call in calls:
                if type(call) is dict:
                    self._add_call(parts, call)

    def _add_call(self, parts: _Parts, call: dict[str, Any]) -> None:
        self.begun = True
        function = call.get("function")
        if type(function) is not dict:
            function = {}
        name = _word(function.get("name"))
        kept = parts.call(call.get("index"), _word(call.get("id")), name)
        if kept is None:
            self.truncated = True
            return
        kept.id = kept.id or _word(call.get("id"))
        kept.type = kept.type or _word(call.get("type"))
        kept.name = kept.name or name
        arguments = function.get("arguments")
        if type(arguments) is str:
            self._keep(kept.arguments, arguments)

    def _parts(self, index: int) -> _Parts | None:
        parts = self._choices.get(index)
        if parts is None:
            if len(self._choices) >= MAX_PARTS:
                self.truncated = True
                return None
            parts = self._choices[index] = _Parts()
        return parts

    def _keep(self, texts: list[str], text: str) -> None:
        if text:
            self.begun = True
            self._room -= len(text)
            if self._room < 0:
                self.truncated = self._content
                return
        # The first empty text makes the difference between "" and null; further ones add nothing.
        elif texts:
            return
        if self._content:
            texts.append(text)
            if len(texts) == _MANY:
                texts[:] = ("".join(texts),)


class _Parts:
    """What one choice has said so far."""

    __slots__ = ("calls", "content", "finish_reason", "reasoning", "role")

    def __init__(self) -> None:
        self.role: str | None = None
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, _Call] = {}
        self.finish_reason: str | None = None

    def call(self, index: Any, call_id: str | None, name: str | None) -> _Call | None:
        """The tool call that a delta goes on with. Without an index, a new id or a name begins the next one."""
        if type(index) is not int:
            index = self._unnumbered(call_id, name)
        call = self.calls.get(index)
        if call is None and len(self.calls) < MAX_PARTS:
            call = self.calls[index] = _Call()
        return call

    def _unnumbered(self, call_id: str | None, name: str | None) -> int:
        for index, call in self.calls.items():
            if call_id is not None and call.id == call_id:
                return index
        last = max(self.calls, default=-1)
        return last + 1 if call_id is not None or name is not None or last < 0 else last

    def only_text(self, delta: dict[str, Any]) -> tuple[list[str], str] | None:
        """If a delta adds nothing but one text: where that is kept, and the text."""
        content, reasoning = delta.get("content"), _reasoning(delta)
        if delta.get("tool_calls"):
            return None if content or reasoning else self._only_arguments(delta["tool_calls"])
        if content and type(content) is str:
            return (self.content, content) if reasoning is None else None
        return (self.reasoning, reasoning) if reasoning is not None and not content else None

    def _only_arguments(self, calls: Any) -> tuple[list[str], str] | None:
        call = calls[0] if type(calls) is list and len(calls) == 1 else None
        if type(call) is not dict or type(call.get("index")) is not int or call.get("index") not in self.calls:
            return None
        function = call.get("function")
        arguments = function.get("arguments") if type(function) is dict else None
        return (self.calls[call["index"]].arguments, arguments) if arguments and type(arguments) is str else None

    def choice(self, index: int, content: bool) -> Choice:
        return {
            "index": index,
            "role": self.role,
            "content": "".join(self.content) if self.content else None,
            "reasoning_content": "".join(self.reasoning) if self.reasoning else None,
            "tool_calls": [self.calls[place].tool_call(place, content) for place in sorted(self.calls)],
            "finish_reason": self.finish_reason,
        }


class _Call:
    """What came of one tool call so far."""

    __slots__ = ("arguments", "id", "name", "type")

    def __init__(self) -> None:
        self.id: str | None = None
        self.type: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []

    def tool_call(self, index: int, content: bool) -> ToolCall:
        arguments = "".join(self.arguments) if content else None
        return {
            "index": index,
            "id": self.id,
            "type": self.type,
            "function": {"name": self.name, "arguments": arguments},
        }


def _reasoning(delta: dict[str, Any]) -> str | None:
    """Of one delta: servers that send the text under two names at once mean it once."""
    for key in ("reasoning_content", "reasoning"):
        value = delta.get(key)
        if value and type(value) is str:
            return value
    details = delta.get("reasoning_details")
    return (_joined(details, "text") or _joined(details, "summary") or None) if details else None


def _joined(parts: Any, key: str) -> str:
    """The texts of a list of parts, ``{"type": "text", "text": ...}``."""
    if type(parts) is not list:
        return ""
    return "".join(part[key] for part in parts if type(part) is dict and type(part.get(key)) is str)


def _word(value: Any) -> str | None:
    return value[:MAX_WORD] if value and type(value) is str else None
