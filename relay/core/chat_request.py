"""What of a chat request is looked at: its model, and what goes into its events (``capture.request``).

The body is not parsed, since clients choose its size and its shape: its members are found (``relay.core.members``), and
of those only what is small and needed is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import orjson

from relay.core.chat import RequestData
from relay.core.chat_json import write_json
from relay.core.members import Body, Member, Unwalkable, Walk

RequestCapture = Literal["none", "metadata", "full"]

MAX_MESSAGES: Final = 256 * 1024
"""Bytes of messages and tools that an event carries: they are in two events of each stream, beside the answer."""

_MAX_SCALAR: Final = 1024
_MAX_OPTIONS: Final = 64 << 10
_MAX_PARAMETERS: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_WORDS: Final = frozenset(("reasoning_effort", "service_tier", "tool_choice", "verbosity"))


class ChatRequest(NamedTuple):
    """``model``: ``None`` where the body names none, or several; ``data``: what may be told of it."""

    model: str | None
    stream: bool
    data: RequestData | None


def read_request(body: Body, capture: RequestCapture) -> ChatRequest:
    """What a request says. One that cannot be read is for the upstream to refuse, and says nothing."""
    try:
        found = Walk(body).members().found
    except Unwalkable:
        found = []
    members = {member.key: member for member in found}
    stream = _value(body, members.get("stream"), _MAX_SCALAR) is True
    return ChatRequest(_model(body, found), stream, _data(body, members, capture))


def model_of(body: Body) -> str | None:
    """The model that a request names; ``None``: none, or several by names that a server may take for each other."""
    try:
        return _model(body, Walk(body).members().found)
    except Unwalkable:
        return None


def _model(body: Body, found: list[Member]) -> str | None:
    named = [member for member in found if member.key.lower() == "model"]
    value = _value(body, named[0], _MAX_SCALAR) if len(named) == 1 and named[0].key == "model" else None
    return value if isinstance(value, str) else None


def _data(body: Body, members: Mapping[str, Member], capture: RequestCapture) -> RequestData | None:
    if capture == "none":
        return None
    messages, tools = members.get("messages"), members.get("tools")
    data: RequestData = {
        "parameters": _parameters(body, members),
        "messages_count": messages.items if _is_array(body, messages) and messages else None,
        "tools_count": tools.items if _is_array(body, tools) and tools else 0,
        "bytes": len(body),
        "messages": None,
        "tools": None,
    }
    if capture == "full":
        _add_messages(data, body, messages, tools)
    return data


def _add_messages(data: RequestData, body: Body, messages: Member | None, tools: Member | None) -> None:
    size = sum(member.end - member.start for member in (messages, tools) if member is not None)
    if size > MAX_MESSAGES:
        return
    said, offered = (_value(body, member, MAX_MESSAGES) for member in (messages, tools))
    if len(write_json([said, offered])) <= MAX_MESSAGES:
        data["messages"] = said if isinstance(said, list) else None
        data["tools"] = offered if isinstance(offered, list) else None


def _parameters(body: Body, members: Mapping[str, Member]) -> dict[str, Any]:
    """Numbers and switches under whatever name, since models get new ones; texts only where they are known words."""
    told: dict[str, Any] = {}
    for key, member in members.items():
        if len(told) < _MAX_PARAMETERS and _NAME.fullmatch(key):
            value = _value(body, member, _MAX_SCALAR)
            if _is_plain(key, value):
                told[key] = value
    options, form = (_value(body, members.get(key), _MAX_OPTIONS) for key in ("stream_options", "response_format"))
    if isinstance(options, dict) and isinstance(options.get("include_usage"), bool):
        told["include_usage"] = options["include_usage"]
    if isinstance(form, dict) and _is_word(form.get("type")):
        told["response_format"] = form["type"]
    return told


def _value(body: Body, member: Member | None, limit: int) -> Any:
    """``None`` also for what is larger, or no JSON."""
    if member is None or member.end - member.start > limit:
        return None
    try:
        return orjson.loads(body[member.start : member.end])
    except orjson.JSONDecodeError:
        return None


def _is_array(body: Body, member: Member | None) -> bool:
    return member is not None and body[member.start : member.start + 1] == b"["


def _is_plain(key: str, value: Any) -> bool:
    return isinstance(value, bool | int | float) or (key in _WORDS and _is_word(value))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None
