"""``docs/chat.md`` says what the chat proxy does."""

from __future__ import annotations

import re
from pathlib import Path

from relay.edge.chat import event_queue
from relay.edge.http.problems import KINDS

TEXT = (Path(__file__).parents[4] / "docs" / "chat.md").read_text(encoding="utf-8")
ERRORS = {
    "unauthorized",
    "model_not_allowed",
    "forbidden_origin",
    "not_found",
    "payload_too_large",
    "body_timeout",
    "bad_request",
    "rate_limited",
    "too_many_chats",
    "unsupported_transfer_coding",
    "overloaded",
    "draining",
    "upstream_unreachable",
    "upstream_reset",
    "upstream_timeout",
}
"""What ``tests/unit/edge/chat/test_*.py`` and ``test_bodies.py`` see refused."""


def test_the_page_names_each_refusal_with_its_status() -> None:
    """A client would meet an answer that is documented nowhere, or under another status."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", TEXT, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {code: KINDS[code].status for code in ERRORS}


def test_the_page_says_when_events_are_left_out() -> None:
    """An operator would not know what a full disk costs."""
    text = re.sub(r"\s+", " ", TEXT)
    assert f"Beyond {event_queue.PRESSED >> 20} MiB relay leaves out chunk events" in text
    assert f"beyond {event_queue.FULL >> 20} MiB it refuses new chats" in text
