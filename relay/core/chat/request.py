"""What relay reads of a chat request: its model, and what its events contain (``capture.request``).

A body that is not small is not parsed, since clients choose its size and its shape: its members are found
(``relay.core.json_scan``), and of those only what is small and needed is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import orjson

from relay.core.chat.api import Said
from relay.core.chat.events import RequestData
from relay.core.chat.json import write_json
from relay.core.json_scan import Body, Member, Unwalkable, Walk

RequestCapture = Literal["none", "metadata", "full"]

MAX_MESSAGES: Final = 256 * 1024
"""Bytes of messages and tools that an event carries: they are in two events of each stream, beside the answer."""

_MAX_SCALAR: Final = 1024
_SMALL: Final = 16 << 10
"""Bytes of a body that is parsed: half a megabyte and a millisecond, whatever is in it."""

_LIMITS: Final = dict.fromkeys(("stream_options", "response_format"), 64 << 10)
_TOOLS: Final = "tools"
_MAX_PARAMETERS: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_WORDS: Final = frozenset(("previous_response_id", "reasoning_effort", "service_tier", "tool_choice", "verbosity"))


class ChatRequest(NamedTuple):
    """``model``: ``None`` where the body names none, or several; ``data``: what may be recorded of it."""

    model: str | None
    stream: bool
    data: RequestData | None


def read_request(body: Body, capture: RequestCapture, said: Said) -> ChatRequest:
    """What a request says. One that cannot be read is for the upstream to refuse, and says nothing."""
    if (document := _parsed(body)) is not None:
        messages, tools = document.get(said.messages), document.get(_TOOLS)
        counts = (_number(messages), len(tools) if isinstance(tools, list) else 0)
        return _request(document, counts, len(body), capture, said)
    try:
        members = Walk(body).members().found
    except Unwalkable:
        members = []
    found = {member.key: member for member in members}
    texts = [key for key in (said.messages, said.system, _TOOLS) if key is not None]
    full = capture == "full" and sum(_size(found.get(key)) for key in texts) <= MAX_MESSAGES
    limits = _LIMITS | dict.fromkeys(texts, MAX_MESSAGES if full else 0)
    values = {key: member.value(body, limits.get(key, _MAX_SCALAR)) for key, member in found.items()}
    values["model"] = _model(body, members)
    counts = (_items(body, found.get(said.messages)), _items(body, found.get(_TOOLS)) or 0)
    return _request(values, counts, len(body), capture, said)


def _parsed(body: Body) -> dict[str, Any] | None:
    """A small body, which a parser reads ten times faster; not one in which a key may be there twice."""
    # Of two models the upstream may read the other one, and so serve a client what it may not use.
    if len(body) > _SMALL or b"\\u" in body or body.lower().count(b'"model"') != 1:
        return None
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) and "model" in document else None


def _request(
    values: Mapping[str, Any], counts: tuple[int | None, int], size: int, capture: RequestCapture, said: Said
) -> ChatRequest:
    """``values``: of the members; ``counts``: of messages and of tools."""
    model, stream = values.get("model"), values.get("stream") is True
    model = model if isinstance(model, str) else None
    if capture == "none":
        return ChatRequest(model, stream, None)
    data: RequestData = {
        "parameters": _parameters(values),
        "messages_count": counts[0],
        "tools_count": counts[1],
        "bytes": size,
        "system": None,
        "messages": None,
        "tools": None,
    }
    system = values.get(said.system) if said.system is not None else None
    messages, tools = values.get(said.messages), values.get(_TOOLS)
    if capture == "full" and len(write_json([system, messages, tools])) <= MAX_MESSAGES:
        data["system"] = system if isinstance(system, str | list) else None
        data["messages"] = messages if isinstance(messages, str | list) else None
        data["tools"] = tools if isinstance(tools, list) else None
    return ChatRequest(model, stream, data)


def model_of(body: Body) -> str | None:
    """The model that a request names; ``None``: none, or several by names that a server may take for each other."""
    try:
        return _model(body, Walk(body).members().found)
    except Unwalkable:
        return None


def _model(body: Body, found: list[Member]) -> str | None:
    named = [member for member in found if member.key.lower() == "model"]
    value = named[0].value(body, _MAX_SCALAR) if len(named) == 1 and named[0].key == "model" else None
    return value if isinstance(value, str) else None


def _parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and switches under whatever name, since models get new ones; texts only where they are known words."""
    parameters: dict[str, Any] = {}
    for key, value in values.items():
        if len(parameters) < _MAX_PARAMETERS and _NAME.fullmatch(key) and _is_plain(key, value):
            parameters[key] = value
    options, form = values.get("stream_options"), values.get("response_format")
    if isinstance(options, dict) and isinstance(options.get("include_usage"), bool):
        parameters["include_usage"] = options["include_usage"]
    if isinstance(form, dict) and _is_word(form.get("type")):
        parameters["response_format"] = form["type"]
    return parameters


def _number(messages: Any) -> int | None:
    """Of messages; a text is one."""
    return len(messages) if isinstance(messages, list) else (1 if isinstance(messages, str) else None)


def _items(body: Body, member: Member | None) -> int | None:
    if member is None:
        return None
    begins = bytes(body[member.start : member.start + 1])
    return member.items if begins == b"[" else (1 if begins == b'"' else None)


def _size(member: Member | None) -> int:
    return member.end - member.start if member is not None else 0


def _is_plain(key: str, value: Any) -> bool:
    return isinstance(value, bool | int | float) or (key in _WORDS and _is_word(value))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None
