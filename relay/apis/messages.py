"""Messages, ``POST /anthropic/…/messages``: Anthropic's API, which the upstream offers for some models.

https://docs.claude.com/en/docs/build-with-claude/streaming. An answer is one message of content blocks; a stream names
each of its events, and ends with ``message_stop``. A message is one choice: its text blocks joined, its thinking, and
its tool uses as tool calls.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from relay.core.chat.api import Api, Said
from relay.core.chat.assembly import MAX_PARTS, Assembly, Parts, bare, count, number, word
from relay.core.chat.events import Tokens
from relay.core.chat.json import write_json

_KINDS: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_TEXTS: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_SILENT: Final = frozenset(("ping", "content_block_stop"))
_SILENT_DELTAS: Final = frozenset(("signature_delta", "citations_delta", "compaction_delta"))
_CALLS: Final = frozenset(("tool_use", "server_tool_use", "mcp_tool_use"))


class Message(Assembly):
    """Events by their ``type``; blocks by their ``index``, in whatever order they come."""

    named = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._blocks: dict[int, list[str]] = {}
        self._given: set[int] = set()  # blocks whose input came whole, before any piece of it

    def add(self, chunk: dict[str, Any]) -> None:
        kind = chunk.get("type")
        if kind == "content_block_delta":
            self._add_delta(chunk)
        elif kind == "content_block_start":
            self.announce(index := number(chunk, "index"))
            self._begin_block(index, chunk.get("content_block"), whole=False)
        elif kind == "message_start":
            message = chunk.get("message")
            if type(message) is dict:
                self.add_body(message)
        elif kind == "message_delta":
            self._add_end(chunk.get("delta"), chunk.get("usage"))
        elif kind == "message_stop":
            self.done = True
        elif kind not in _SILENT:
            self.add_other(chunk)

    def add_body(self, document: dict[str, Any]) -> None:
        blocks, role = document.get("content"), word(document.get("role"))
        if document.get("error") or (type(blocks) is not list and role is None):
            self.find_error(document)
            return
        self.name(document)
        if (parts := self.parts(0)) is None:
            return
        parts.role = parts.role or role
        if type(blocks) is list:
            for index, block in enumerate(blocks):
                self._begin_block(index, block, whole=True)
        self._add_end(document, document.get("usage"))

    def only_text(self, chunk: Any) -> tuple[list[str], str] | None:
        if type(chunk) is not dict or chunk.get("type") != "content_block_delta":
            return None
        index, delta = chunk.get("index"), chunk.get("delta")
        if type(index) is not int or type(delta) is not dict or index in self._given:
            return None
        texts, key = self._blocks.get(index), _TEXTS.get(word(delta.get("type")) or "")
        text = delta.get(key) if key is not None else None
        return (texts, text) if texts is not None and text and type(text) is str else None

    def tokens(self) -> Tokens:
        """Anthropic counts what came from a cache, and what went into one, beside ``input_tokens``."""
        usage = self.usage or {}
        fresh, output = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
        cached, written = (count(usage.get(f"cache_{kind}_input_tokens")) for kind in ("read", "creation"))
        details = usage.get("output_tokens_details")
        thought = details.get("thinking_tokens") if type(details) is dict else None
        return {
            "input": None if fresh is None else fresh + (cached or 0) + (written or 0),
            "output": output,
            "cached": cached,
            "cache_written": written,
            "reasoning": count(thought),
        }

    @classmethod
    def without_texts(cls, chunk: dict[str, Any]) -> dict[str, Any]:
        return bare(chunk, ("type", "index", "usage"), _BARE)

    def _begin_block(self, index: int, block: Any, *, whole: bool) -> None:
        if type(block) is not dict:
            return
        kind = word(block.get("type"))
        if kind in _CALLS:
            self._begin_call(index, block, whole=whole)
        elif kind in ("text", "thinking"):
            texts, text = self._texts(index, kind), block.get(kind)
            if texts is not None and type(text) is str:
                self.keep_text(texts, text)

    def _begin_call(self, index: int, block: dict[str, Any], *, whole: bool) -> None:
        if (parts := self.parts(0)) is None:
            return
        kind = "function" if block["type"] == "tool_use" else block["type"]
        call = self.add_call(parts, self._call_place(parts, index), block.get("id"), kind, block.get("name"))
        if call is None or not self._has_room(index):
            return
        self._blocks[index] = call.arguments
        given = block.get("input")
        if type(given) is dict and (given or whole):  # in a stream an empty one stands for the pieces to come
            self.keep_text(call.arguments, write_json(given).decode())
            self._given.add(index)

    def _add_delta(self, chunk: dict[str, Any]) -> None:
        index, delta = number(chunk, "index"), chunk.get("delta")
        kind = word(delta.get("type")) or "" if type(delta) is dict else ""
        key = _TEXTS.get(kind)
        text = delta.get(key) if type(delta) is dict and key is not None else None
        if key is None or type(text) is not str:
            if kind not in _SILENT_DELTAS:
                self.irregular.add("unknown_event")
            return
        texts = self._blocks.get(index)
        if texts is None:
            texts = self._unannounced(index, key)
        elif text and index in self._given:  # the pieces say the whole again
            self._given.discard(index)
            texts.clear()
        if texts is not None:
            self.keep_text(texts, text)

    def _unannounced(self, index: int, key: str) -> list[str] | None:
        """Where the text goes of a block whose beginning did not come."""
        self.irregular.add("out_of_order")
        if key != "partial_json":
            return self._texts(index, key)
        if (parts := self.parts(0)) is None:
            return None
        call = self.add_call(parts, self._call_place(parts, index), None, "function", None)
        if call is None or not self._has_room(index):
            return None
        self._blocks[index] = call.arguments
        return call.arguments

    def _call_place(self, parts: Parts, index: int) -> int:
        """Among the calls; of a part of an answer, which does not know how many came before, among the blocks."""
        return index if self.piecemeal else len(parts.calls)

    def _texts(self, index: int, kind: str) -> list[str] | None:
        if (parts := self.parts(0)) is None or not self._has_room(index):
            return None
        texts = self._blocks[index] = parts.section(index, reasoning=kind != "text")
        return texts

    def _has_room(self, index: int) -> bool:
        """Whether a block may begin: there are not too many."""
        if index not in self._blocks and len(self._blocks) >= MAX_PARTS:
            self.truncated = True
            return False
        self._given.discard(index)
        return True

    def _add_end(self, delta: Any, usage: Any) -> None:
        if type(usage) is dict:  # later counts are of the whole answer, and leave out what has not changed
            self.usage = (self.usage or {}) | {key: value for key, value in usage.items() if value is not None}
        reason = delta.get("stop_reason") if type(delta) is dict else None
        if reason and type(reason) is str and (parts := self.parts(0)) is not None:
            self.finish(parts, reason)


_BARE: Final = {
    "message": ("id", "type", "role", "model", "stop_reason", "usage"),
    "content_block": ("type", "id", "name"),
    "delta": ("type", "stop_reason"),
    "error": ("type",),
}


def error_body(status: int, code: str, message: str) -> bytes:
    """The JSON that Anthropic's SDKs turn into an ``APIStatusError``. ``code`` is relay's own word.

    Source: https://docs.claude.com/en/api/errors
    """
    kind = _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message, "code": code}})


def error_frame(status: int, code: str, message: str) -> bytes:
    """The same within a stream: the SDKs raise it."""
    return b"event: error\ndata: " + error_body(status, code, message) + b"\n\n"


API: Final = Api(
    prefixes=("/anthropic/",),
    route="/messages",
    assembly=Message,
    error_body=error_body,
    error_frame=error_frame,
    example={
        "model": "deepseek/deepseek-v3.1",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
    },
    base="/anthropic",
    said=Said("messages", "system"),
)
