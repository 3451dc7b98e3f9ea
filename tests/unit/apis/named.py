"""Streams of the APIs that name their events."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson

from relay.core.chat.assembly import Assembly

A = TypeVar("A", bound=Assembly)


def added(assembly: A, *chunks: dict[str, Any]) -> A:
    """With these chunks, one after the other."""
    for chunk in chunks:
        assembly.add(chunk)
    return assembly


def wire(*chunks: dict[str, Any]) -> bytes:
    """Their events."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (each["type"].encode(), orjson.dumps(each)) for each in chunks)
