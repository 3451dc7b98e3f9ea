"""How tasks are listed. The command runs in tests/integration/test_task_registry.py."""

from __future__ import annotations

from typing import Any

from relay.cli.tasks import row, summary
from relay.core.clock import rfc3339

TASK: dict[str, Any] = {
    **dict.fromkeys(("task_type", "reason", "trouble", "next_poll_at", "duration_ms")),
    "task_id": "t1",
    "state": "running",
    "submitted_at": rfc3339(0),
    "polls": 2,
    "known_via": "submit",
}
PAGE: dict[str, Any] = {"searched_since": None}


def test_a_line_says_why_a_task_hangs_or_ended() -> None:
    """The reason would have to be looked up for each task."""
    assert row(TASK | {"trouble": "unknown_task"})[-1] == "unknown_task"
    assert row(TASK | {"trouble": "unknown_task", "reason": "deadline"})[-1] == "deadline"
    assert row(TASK)[-1] is None


def test_a_line_says_how_long_a_task_took() -> None:
    """Two times would have to be subtracted, for each task."""
    assert row(TASK | {"duration_ms": 4200})[5] == "4.2s"
    assert row(TASK)[5] is None


def test_a_summary_counts_all_states_that_there_are() -> None:
    """Somebody who lists what is pending would not see how many were abandoned."""
    assert (
        summary(1, PAGE | {"counts": {"submitted": 1, "running": 0, "abandoned": 2}})
        == "1 shown; submitted or watched: 1 submitted, 2 abandoned."
    )
    assert summary(0, PAGE | {"counts": {"submitted": 0}}) == "0 shown; submitted or watched: none."


def test_a_sorted_list_says_how_far_back_it_goes() -> None:
    """The longest of the newest tasks would be taken for the longest of all."""
    page = {"counts": {}, "searched_since": "2026-01-31T09:00:00.000Z"}
    assert summary(2, page).startswith("2 shown, of those since 2026-01-31T09:00:00.000Z; submitted")
