"""Keeps the terminal event small enough for every sink: an end that no broker accepts would be no end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from relay.core.chat.events import ChatData
from relay.core.chat.json import write_json

MAX_DATA: Final = 1_000_000
"""Bytes of an event's ``data``. Kafka takes records of 1 MiB (``message.max.bytes``), headers and batch included."""


def fitted(data: ChatData, limit: int = MAX_DATA) -> bytes:
    """``data`` as JSON of at most ``limit`` bytes. What does not fit is cut, and ``truncated`` is set.

    Texts are cut at their end, the longest first; if that is not enough, what was asked goes, then the usage, then the
    choices. Changes ``data``.
    """
    serialized = write_json(data)
    longest = limit
    while len(serialized) > limit and longest:
        longest = longest * 3 // 4
        data["truncated"] = True
        _cut(data, longest)
        serialized = write_json(data)
    for key, nothing in (("request", None), ("usage", None), ("choices", []), ("error", None)):
        if len(serialized) <= limit:
            break
        data["truncated"] = True
        data[key] = nothing  # type: ignore[literal-required]
        serialized = write_json(data)
    return serialized


def _cut(data: ChatData, longest: int) -> None:
    for holder in _holders(data):
        for key, value in holder.items():
            if type(value) is str and len(value) > longest:
                holder[key] = value[:longest]


def _holders(data: ChatData) -> Iterator[Any]:
    for choice in data["choices"]:
        yield choice
        for call in choice["tool_calls"]:
            yield call["function"]
