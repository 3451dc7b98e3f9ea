"""Reads upstreams' JSON that orjson refuses but OpenAI's SDKs accept, and writes the JSON of events."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from relay.core.redact import prune

MAX_CONTAINERS: Final = 250_000
"""Objects and arrays in one document. Each takes thirty times the memory of its two brackets."""

_DEEPEST: Final = 200


def read_json(data: bytes) -> tuple[Any, bool]:
    """A JSON document, and whether it is strictly valid; ``ValueError`` if it is not JSON at all.

    Not strictly valid: bytes that are not UTF-8, halves of a character (some servers cut texts between the two escapes
    of one), ``NaN``. The SDKs read those, so they are chunks; but the bytes are not fit for an event.
    """
    if len(data) > 2 * MAX_CONTAINERS and data.count(b"[") + data.count(b"{") > MAX_CONTAINERS:
        raise ValueError("more structure than any answer has")
    try:
        return orjson.loads(data), True
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data.decode(errors="replace"), parse_constant=_null), False
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _null(_constant: str) -> None:
    """``NaN`` and ``Infinity`` have no JSON."""


def write_json(document: Any) -> bytes:
    """JSON that every reader takes. Halves of a character that meet are joined, others become U+FFFD."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        prune(document, _DEEPEST)
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
