"""The balance of streams and events: what it lets pass and what it finds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.harness.streams import balance

STARTED = "started"
EXPECTED: dict[str, set[tuple[str, str | None]]] = {"a": {("completed", None)}, "b": {("cancelled", "client_gone")}}
GOOD = ("a started", "b started", "a completed", "b cancelled client_gone")


def events(*short: str) -> list[dict[str, Any]]:
    made = []
    for subject, kind, *reason in (text.split() for text in short):
        data = {} if kind == STARTED else {"outcome": kind, "reason": reason[0] if reason else None}
        made.append({"type": f"relay.chat.{kind}", "subject": subject, "data": data})
    return made


def test_each_stream_with_its_one_end_holds() -> None:
    """Broken: a relay that keeps its promise would fail the matrix."""
    found = balance(EXPECTED, events(*GOOD))
    assert found.holds
    assert found.ends == {"completed: None": 1, "cancelled: client_gone": 1}


@pytest.mark.parametrize(
    ("fault", "came"),
    [
        ("missing", GOOD[:3]),
        ("missing", (*GOOD, "c started")),
        ("doubled", (*GOOD, "a completed")),
        ("doubled", (*GOOD, "a failed truncated")),
        ("wrong", (*GOOD[:2], "a failed truncated", GOOD[3])),
        ("wrong", (*GOOD[:3], "b cancelled other")),
        ("unstarted", GOOD[1:]),
    ],
)
def test_what_is_wrong_is_found(fault: str, came: tuple[str, ...]) -> None:
    """Broken: the matrix would say that P6 holds while ends are missing, doubled or wrong."""
    found = balance(EXPECTED, events(*came))
    assert not found.holds
    assert getattr(found, fault)
