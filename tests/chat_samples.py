"""Answers of upstreams as they come over the wire, each with the data of the event that ends it.

``tests/samples/<api>/<name>.sse`` is the body of a stream, ``<name>.body`` that of another answer, and
``<name>.expected.json`` holds what is given beside the body and what is expected of it. A new API is tested by its
folder, and by a slow reading of its rules in ``tests/chat_reference``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.apis import apis
from relay.core.chat.outcome import Ending

FOLDERS = Path(__file__).parent / "samples"
EXPECTED = ".expected.json"


@dataclass(frozen=True, slots=True)
class ChatSample:
    """``is_stream``: what the body is, whatever its ``content_type`` says. ``data``: the fields of the terminal event
    that the answer decides. ``irregular``: what about it is not as its API has it, in the order of the alphabet."""

    api: str
    name: str
    body: bytes
    is_stream: bool
    status: int
    content_type: str
    ending: Ending
    data: dict[str, Any]
    irregular: list[str]


def chat_samples() -> list[ChatSample]:
    """All of them, in the order of their APIs and names."""
    return [_read(path) for api in sorted(apis()) for path in sorted((FOLDERS / api).glob(f"*{EXPECTED}"))]


def _read(path: Path) -> ChatSample:
    expected = json.loads(path.read_text("utf-8"))
    given = expected.get("given", {})
    name = path.name.removesuffix(EXPECTED)
    stream = path.with_name(f"{name}.sse")
    is_stream = stream.exists()
    return ChatSample(
        path.parent.name,
        name,
        (stream if is_stream else path.with_name(f"{name}.body")).read_bytes(),
        is_stream,
        given.get("status", 200),
        given.get("content_type", "text/event-stream" if is_stream else "application/json"),
        given.get("ending", "end"),
        expected["data"],
        expected.get("irregular", []),
    )


SAMPLES = chat_samples()
