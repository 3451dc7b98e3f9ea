"""Removes secrets from what leaves relay: webhook addresses, prompts, credentials, query strings.

The upstream echoes the receiver's own URL (``extra.webhook.url``) and the prompt (``extra.debug_info.request_info``)
in each result: https://novita.ai/docs/api-reference/model-apis-task-result
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

REDACTED: Final = "[redacted]"
TOO_DEEP: Final = "[nested too deeply]"

# A parser makes exact types; asking for them is twice as fast as isinstance, and each event asks a hundred times.
_NESTED: Final = frozenset({dict, list})
_COVERED: Final = frozenset({str, dict, list})

# Searching every key would cost more than all the rest of an event: the documented ones are known beforehand.
_PLAIN: Final = frozenset(
    "task task_id task_type status reason eta progress_percent extra seed enable_nsfw_detection has_nsfw_contents"
    " debug_info submit_time_ms execute_time_ms complete_time_ms images image_url image_url_ttl image_type"
    " nsfw_detection_result valid confidence videos video_url video_url_ttl video_type audios audio_url audio_url_ttl"
    " audio_type audio_metadata text start_time end_time event_type payload url test_mode enabled"
    " return_task_status".split()
)
_CALLBACK: Final = re.compile(r"web.?hook|call.?back", re.IGNORECASE)
_WITHHELD: Final = re.compile(
    r"prompt(?!_tokens)|authorization|api[_-]?key|secret|password|credential|(?:^|[_-])token$",
    re.IGNORECASE,
)
_STATUS_NAME: Final = re.compile(r"[A-Z][A-Z_]{0,63}", re.ASCII)
_VEIL_DEPTH: Final = 8
_DEEPEST: Final = 200

_SLASH: Final = r"(?:\\*/|%2[Ff])"
_TOKEN_PATH: Final = re.compile(rf"(webhooks{_SLASH}[A-Za-z0-9_.-]+{_SLASH})[^\s\"'\\<>]+")
_TOKEN_PATH_BYTES: Final = re.compile(_TOKEN_PATH.pattern.encode())
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}:\\?/\\?/)[^\s\"'<>]+")


def redact(document: Any) -> None:
    """Replaces secrets in a parsed JSON document, in place, by ``"[redacted]"``.

    Under a key that names a webhook or a callback every text goes, except bare status names; under one that names a
    prompt or a credential the whole value. Everything else, unknown fields included, stays. Iterates, so a document
    of any depth is fine; it is changed in place because it was parsed for this purpose and a copy costs time.
    """
    nested = _NESTED
    pending = [document] if type(document) in nested else []
    for node in pending:  # grows while it is walked
        values = node
        if type(node) is dict:
            if not _PLAIN.issuperset(node):
                _redact_keys(node)
            values = node.values()
        if not nested.isdisjoint(map(type, values)):  # in C: most nodes are leaves
            for value in values:
                if type(value) in nested and value:
                    pending.append(value)  # noqa: PERF401 - up to Python 3.11 a comprehension costs a call


def _redact_keys(node: dict[str, Any]) -> None:
    for key, value in node.items():
        if key not in _PLAIN and value and type(value) in _COVERED:
            node[key] = _covered(key, value)


def _covered(key: str, value: Any) -> Any:
    """What may be shown under a key that is not documented as harmless. The two documented ones need no search."""
    if key == "request_info":
        return REDACTED
    if key == "webhook" or _CALLBACK.search(key):
        return _veil(value, _VEIL_DEPTH)
    return REDACTED if _WITHHELD.search(key) else value


def _veil(value: Any, depth: int) -> Any:
    """The shape of a webhook's settings, without its texts: an address has too many forms to be recognized."""
    if isinstance(value, str):
        return value if _STATUS_NAME.fullmatch(value) else REDACTED
    if type(value) in _NESTED and depth == 0:
        return REDACTED
    if isinstance(value, dict):
        return {_veil_key(key): _veil(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_veil(item, depth - 1) for item in value]
    return value


def _veil_key(key: str) -> str:
    return REDACTED if "/" in key else key


def publishable(document: Any) -> bytes:
    """A redacted document as JSON, the last net for tokens included; what is nested absurdly deep is cut off.

    orjson reads 1024 levels but writes 254, and junk that deep must not cost the event.
    """
    try:
        data = orjson.dumps(document)
    except orjson.JSONEncodeError:
        prune(document, _DEEPEST)
        data = orjson.dumps(document)
    # orjson's bytes hold on to the buffer they grew in, 8 KiB for 1 KiB; thousands of events are kept in memory.
    return scrub(bytes(memoryview(data)))


def prune(document: Any, depth: int) -> None:
    """Replaces, in place, whatever is nested more than ``depth`` levels down, so that it can be serialized."""
    level = [document]
    for _ in range(depth):
        level = [child for node in level for child in _children(node)]
    for node in level:
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if type(value) in _NESTED:
                node[key] = TOO_DEEP


def _children(node: Any) -> list[Any]:
    values = node.values() if isinstance(node, dict) else node
    return [value for value in values if type(value) in _NESTED]


def scrub(data: bytes) -> bytes:
    """Serialized JSON without any webhook token: the last net, for an address inside a text (an error message)."""
    return _TOKEN_PATH_BYTES.sub(rb"\1[redacted]", data) if b"webhooks" in data else data


def scrub_text(text: str) -> str:
    """Text that is not JSON, without anything behind the host of a URL and without any webhook token."""
    return _TOKEN_PATH.sub(rf"\1{REDACTED}", _URL.sub(_bare_origin, text))


def _bare_origin(match: re.Match[str]) -> str:
    scheme, rest = match[1], match[0][len(match[1]) :]
    authority, slash, _path = rest.partition("/")
    return f"{scheme}{authority.rpartition('@')[2]}{slash}{REDACTED if slash else ''}"
