"""Responses, ``POST …/responses``: OpenAI's newer API. Items out: messages, reasoning, calls of tools.

https://platform.openai.com/docs/api-reference/responses-streaming. A response is one choice: its output texts and
refusals joined, its reasoning and the summaries of it, and the calls of tools that the client is to answer or that an
MCP server did. A text comes up to five times: in pieces, as a text, a part and an item, and in the whole response at
the end. The pieces count; an item is read only if no piece of it came. The chunk events have all of it, as sent.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from relay.apis._openai import BASE, PREFIXES, error_body, openai_error, openai_tokens
from relay.core.chat.api import Api, Said
from relay.core.chat.assembly import MAX_PARTS, Assembly, bare, joined, number, word
from relay.core.chat.error import error_of, upstream_error
from relay.core.chat.events import Tokens, UpstreamError

_CONTENT: Final = frozenset(("response.output_text.delta", "response.refusal.delta"))
_REASONING: Final = frozenset(("response.reasoning_text.delta", "response.reasoning_summary_text.delta"))
_ARGUMENTS: Final = {
    "response.function_call_arguments.delta": "function_call",
    "response.custom_tool_call_input.delta": "custom_tool_call",
    "response.mcp_call_arguments.delta": "mcp_call",
}
_DELTAS: Final = _CONTENT | _REASONING | _ARGUMENTS.keys()
_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input", "mcp_call": "arguments"}
_ENDS: Final = {f"response.{status}": status for status in ("completed", "incomplete", "failed", "cancelled")}
_FINISHED: Final = frozenset(("completed", "incomplete", "cancelled"))
_KNOWN: Final = re.compile(
    r"response\.(?:created|queued|in_progress|output_text\.annotation\.added|compaction\.compacting|steer\.[a-z]+"
    r"|(?:output_item|content_part|reasoning_summary_part)\.(?:added|done)"
    r"|(?:output_text|refusal|reasoning_text|reasoning_summary_text|function_call_arguments|custom_tool_call_input"
    r"|mcp_call_arguments|code_interpreter_call_code|shell_call_command|shell_call_output_content|audio"
    r"|audio\.transcript)\.(?:added|delta|done)"
    r"|(?:web_search_call|file_search_call|code_interpreter_call|image_generation_call|mcp_call|mcp_list_tools)"
    r"\.[a-z_]+)"
)
_NUMBER: Final = re.compile(rb'"sequence_number":(?:0|[1-9][0-9]*)')
_PADDING: Final = b'"obfuscation":"'
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Response(Assembly):
    """Events by their ``type``; items by their ``output_index``, in whatever order they come."""

    named = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._calls: dict[int, int] = {}  # the place of each among the calls
        self._read: set[int] = set()  # items of which a piece came, or the whole
        self._ids: dict[int, str] = {}

    def add(self, chunk: dict[str, Any]) -> None:
        kind = word(chunk.get("type")) or ""
        if kind in _DELTAS:
            self._add_delta(chunk, kind)
        elif self.piecemeal and kind != "response.output_item.added":
            return  # the whole of something, of which pieces may have come before
        elif kind == "response.output_item.added":
            self.announce(index := number(chunk, "output_index"))
            self._begin_item(index, chunk.get("item"))
        elif kind == "response.content_part.added":
            self._begin_part(chunk.get("part"))
        elif kind == "response.output_item.done":
            self._add_item(number(chunk, "output_index"), chunk.get("item"))
        elif kind == "error":
            self.error = self.error or error_of(chunk | {"type": None}) or _flat_error(chunk)
        elif kind in _ENDS:
            self._add_response(chunk.get("response"), _ENDS[kind])
            self.done = True
        elif type(chunk.get("response")) is dict:
            self._add_response(chunk["response"], None)
        elif not _KNOWN.fullmatch(kind):
            self.add_other(chunk)

    def add_body(self, document: dict[str, Any]) -> None:
        self._add_response(document, None)

    def passed_over(self, name: str) -> None:
        if name in _ENDS:
            self._add_response({}, _ENDS[name])
            self.done = self.truncated = True

    def only_text(self, chunk: Any) -> tuple[list[str], str] | None:
        index = chunk.get("output_index") if type(chunk) is dict else None
        if type(index) is not int or index not in self._read:
            return None
        text, texts = chunk.get("delta"), self._texts(index, word(chunk.get("type")) or "")
        return (texts, text) if texts is not None and text and type(text) is str else None

    @staticmethod
    def alike(frames: list[bytes]) -> list[bytes]:
        # Every event has a number, and some have padding against those who measure its length: both say nothing. Within
        # a JSON string each quote has a backslash before it, so nothing that is replaced here is part of a text.
        whole = _NUMBER.sub(b'"sequence_number":0', b"\n".join(frames))
        first, *rest = whole.split(_PADDING)
        if rest:
            whole = _PADDING.join((first, *(each.lstrip(_LETTERS) for each in rest)))
        return whole.split(b"\n")

    def tokens(self) -> Tokens:
        return openai_tokens(self.usage)

    @classmethod
    def without_texts(cls, chunk: dict[str, Any]) -> dict[str, Any]:
        return bare(chunk, _BARE_KEYS, _BARE)

    def _add_delta(self, chunk: dict[str, Any], kind: str) -> None:
        index, text = number(chunk, "output_index"), chunk.get("delta")
        if type(text) is not str or not self._notes(index):
            return
        if index >= self.following:
            self.irregular.add("out_of_order")
        texts = self._texts(index, kind)
        if texts is None and kind in _ARGUMENTS:  # its item was not announced
            self._begin_call(index, {"type": _ARGUMENTS[kind]})
            texts = self._texts(index, kind)
        if texts is not None:
            self.keep_text(texts, text)

    def _texts(self, index: int, kind: str) -> list[str] | None:
        """Where a piece of this kind goes."""
        parts = self.parts(0)
        if parts is None or kind not in _DELTAS:
            return None
        if kind in _ARGUMENTS:
            place = self._calls.get(index)
            return None if place is None else parts.calls[place].arguments
        return parts.section(index, reasoning=kind in _REASONING)

    def _begin_item(self, index: int, item: Any) -> None:
        if type(item) is not dict or (parts := self.parts(0)) is None:
            return
        if (given := word(item.get("id"))) is not None and len(self._ids) < MAX_PARTS:
            self._ids[index] = given
        kind = word(item.get("type"))
        if kind == "message":
            parts.role = parts.role or word(item.get("role"))
        elif kind in _CALLS:
            self._begin_call(index, item)

    def _begin_call(self, index: int, item: dict[str, Any]) -> None:
        """A call, or what is new about one that has begun."""
        if (parts := self.parts(0)) is None:
            return
        place = self._calls.get(index, index if self.piecemeal else len(parts.calls))
        kind = "function" if item["type"] == "function_call" else item["type"]
        given = item.get("call_id") or (item.get("id") if kind == "mcp_call" else None)
        if self.add_call(parts, place, given, kind, item.get("name")) is not None:
            self._calls[index] = place

    def _begin_part(self, part: Any) -> None:
        """An empty text is one, unlike none."""
        if type(part) is dict and part.get("type") == "output_text" and (parts := self.parts(0)) is not None:
            self.keep_text(parts.content, "")

    def _add_item(self, index: int, item: Any) -> None:
        """An item as a whole: its texts, unless their pieces came."""
        self._begin_item(index, item)
        parts = self.parts(0)
        if type(item) is not dict or parts is None or index in self._read or not self._notes(index):
            return
        kind = word(item.get("type"))
        if kind == "message":
            for text in _said(item.get("content")):
                self.keep_text(parts.section(index, reasoning=False), text)
        elif kind == "reasoning":
            if text := joined(item.get("summary"), "text") + joined(item.get("content"), "text"):
                self.keep_text(parts.section(index, reasoning=True), text)
        elif kind in _CALLS and index in self._calls:
            given = item.get(_CALLS[kind])
            if type(given) is str:
                self.keep_text(parts.calls[self._calls[index]].arguments, given)

    def _notes(self, index: int) -> bool:
        """Notes that this item is read; false if there are too many."""
        if index not in self._read:
            if len(self._read) >= MAX_PARTS:
                self.truncated = True
                return False
            self._read.add(index)
        return True

    def _add_response(self, response: Any, ended: str | None) -> None:
        """``ended``: what the event's name says of its status."""
        response = response if type(response) is dict else {}
        self.name(response)
        known = {given for index, given in self._ids.items() if index in self._read}
        for index, item in enumerate(_list(response.get("output"))):
            if type(item) is dict and word(item.get("id")) not in known:
                self._add_item(index, item)
        usage = response.get("usage")
        if usage and type(usage) is dict:
            self.usage = usage
        self.find_error(response)
        status = word(response.get("status")) or ended
        if status == "failed":
            self.error = self.error or upstream_error(None, None, None)
        elif status in _FINISHED and (parts := self.parts(0)) is not None:
            details = response.get("incomplete_details")
            reason = word(details.get("reason")) if type(details) is dict else None
            self.finish(parts, reason or status)


_BARE_KEYS: Final = ("type", "output_index", "content_index", "summary_index", "item_id")
_BARE: Final = {
    "response": ("id", "object", "created_at", "model", "status", "usage", "incomplete_details"),
    "item": ("type", "id", "call_id", "name", "role", "status"),
    "part": ("type",),
    "error": ("type", "code"),
}


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _said(content: Any) -> list[str]:
    """The texts and refusals of a message."""
    texts = [part.get("text", part.get("refusal")) for part in _list(content) if type(part) is dict]
    return [text for text in texts if type(text) is str]


def _flat_error(chunk: dict[str, Any]) -> UpstreamError:
    return upstream_error(chunk.get("code"), None, chunk.get("message"))


def error_frame(status: int, code: str, message: str) -> bytes:
    """The error as an event, its fields both where the specification has them and where the SDKs look."""
    error = openai_error(status, code, message)
    event = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 0, "error": error}
    return b"event: error\ndata: " + orjson.dumps(event) + b"\n\n"


API: Final = Api(
    prefixes=PREFIXES,
    route="/responses",
    assembly=Response,
    error_body=error_body,
    error_frame=error_frame,
    example={"model": "deepseek/deepseek-v3.1", "input": "Hello", "stream": True},
    base=BASE,
    said=Said("input", "instructions"),
)
