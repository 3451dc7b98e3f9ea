"""What needs attention. The command runs in tests/integration/test_status_and_show.py."""

from __future__ import annotations

import time
from typing import Any

import pytest

from relay.cli.status import attention, facts, row
from relay.core.clock import rfc3339

SINK: dict[str, Any] = {
    "label": "kafka",
    "up": True,
    "trouble": None,
    "offset": 9,
    "published": 9,
    "pending": 0,
    "dead": 0,
    "lag_seconds": 0.0,
}
WELL: dict[str, Any] = {
    "version": "1.2.3",
    "identity": "relay-0",
    "started_at": "2026-01-31T09:00:00.000Z",
    "now": "2026-01-31T12:05:00.000Z",
    "ready": {"ok": True, "reasons": []},
    "journal": {"events": 9, "bytes": 1 << 20, "last_offset": 9, "dead_letters": 0, "disk_free_bytes": 5 << 30},
    "sinks": [SINK],
    "chats": {"open": 2},
    "tasks": {"pending": 3, "overdue": 1},
    "upstream": {"up": True},
}


def findings(**changed: Any) -> list[tuple[str, str, str | None]]:
    return [(each.status, each.check, each.code) for each in attention(WELL | changed)]


def with_sink(**changed: Any) -> dict[str, Any]:
    return {"sinks": [SINK | changed]}


def test_a_relay_that_is_well_needs_nothing() -> None:
    """An operator would get used to warnings that mean nothing."""
    assert findings() == []


TROUBLE = {"code": "unreachable", "message": "No broker answers.", "hint": "Start one.", "since": rfc3339(0)}
CASES: list[tuple[dict[str, Any], tuple[str, str, str | None]]] = [
    ({"ready": {"ok": False, "reasons": ["draining"]}}, ("failed", "relay", "draining")),
    ({"ready": {"ok": False, "reasons": ["drained"]}}, ("failed", "relay", "drained")),
    ({"ready": {"ok": False, "reasons": ["disk_full: The disk is full."]}}, ("failed", "relay", "disk_full")),
    (with_sink(up=False, trouble=TROUBLE), ("failed", "sink kafka", "unreachable")),
    (with_sink(up=False), ("failed", "sink kafka", "sink_down")),
    (with_sink(up=None), ("warning", "sink kafka", "sink_opening")),
    (with_sink(pending=5, lag_seconds=61.0), ("warning", "sink kafka", "sink_late")),
    ({"journal": WELL["journal"] | {"dead_letters": 2}}, ("warning", "dead letters", "dead")),
    ({"journal": WELL["journal"] | {"disk_free_bytes": 63 << 20}}, ("warning", "disk", "disk_filling")),
    ({"tasks": {"pending": 300, "overdue": 101}}, ("warning", "tasks", "tasks_overdue")),
    ({"upstream": {"up": False}}, ("warning", "upstream", "upstream_down")),
]


@pytest.mark.parametrize(("changed", "found"), CASES)
def test_what_is_wrong_is_named(changed: dict[str, Any], found: tuple[str, str, str | None]) -> None:
    """Somebody would read through all figures, and overlook the one that matters."""
    assert findings(**changed) == [found]


def test_what_is_broken_comes_before_what_may_wait() -> None:
    """A sink that is down would stand below a dead letter of last week."""
    found = findings(**with_sink(up=False, trouble=TROUBLE), upstream={"up": False}, ready={"reasons": ["draining"]})
    assert [status for status, _, _ in found] == ["failed", "failed", "warning"]


def test_a_sink_in_trouble_says_since_when_and_what_waits() -> None:
    """An operator could not see whether it began just now, or days ago."""
    trouble = TROUBLE | {"since": rfc3339(round((time.time() - 330) * 1000))}
    (found,) = attention(WELL | with_sink(up=False, trouble=trouble, pending=5))
    assert found.message == "No broker answers. It has been so for 5m; waiting: 5 events."
    assert found.hint == "Start one."


def test_a_sink_has_its_last_error_in_its_row() -> None:
    """Two sinks that are down for different reasons could not be distinguished."""
    assert row(SINK)[:4] == ("kafka", "up", "none", 0)
    late = SINK | {"up": False, "pending": 5, "lag_seconds": 12.0, "trouble": TROUBLE}
    assert row(late)[1:4] == ("down", "12s", 5)
    assert row(late)[-1] == "unreachable: No broker answers."


def test_the_rest_is_there_in_a_few_lines() -> None:
    """People would have to ask five commands for what fits on one screen."""
    shown = dict(facts("http://x", WELL))
    assert shown["relay"] == "relay-0, 1.2.3, at http://x, up for 3h 5m"
    assert shown["journal"] == "9 events, 1.0 MiB, offset 9"
    assert shown["disk"] == "5.0 GiB free; when it is full, relay refuses deliveries"
    assert "disk" not in dict(facts("http://x", WELL | {"journal": WELL["journal"] | {"disk_free_bytes": None}}))
    assert (shown["tasks"], shown["chats"], shown["upstream"]) == ("3 pending, 1 overdue", "2 open", "up")
