"""How chats are listed. The command runs in tests/integration/test_status_and_show.py."""

from __future__ import annotations

from typing import Any

from relay.cli.chats import row
from relay.core.clock import rfc3339

OPEN: dict[str, Any] = {
    "chat_id": "c1",
    "api": "messages",
    "model": "m",
    "client": None,
    "state": "open",
    "started_at": rfc3339(0),
    "duration_ms": None,
    "tokens": None,
    "reason": None,
}


def test_a_line_says_how_long_a_chat_took_and_how_many_tokens() -> None:
    """Each chat would have to be looked up to see what it cost."""
    ended = OPEN | {"state": "failed", "duration_ms": 1240, "tokens": {"total": 17}, "reason": "truncated"}
    assert row(ended)[-3:] == ("1.2s", 17, "truncated")


def test_what_an_open_chat_does_not_have_yet_is_left_empty() -> None:
    """The list would break off at the first open chat."""
    assert row(OPEN)[:5] == ("c1", "messages", "m", None, "open")
    assert row(OPEN)[-3:] == (None, None, None)
