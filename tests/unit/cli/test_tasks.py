"""How tasks are listed. The command runs in tests/integration/test_task_registry.py."""

from __future__ import annotations

from typing import Any

from relay.cli.tasks import row, summary
from relay.core.clock import rfc3339


def test_a_line_says_why_a_task_hangs_or_ended() -> None:
    """The reason would have to be looked up for each task."""
    task: dict[str, Any] = dict.fromkeys(("task_type", "reason", "trouble", "next_poll_at"))
    task |= {"task_id": "t1", "state": "running", "submitted_at": rfc3339(0), "polls": 2, "known_via": "submit"}
    assert row(task | {"trouble": "unknown_task"})[-1] == "unknown_task"
    assert row(task | {"trouble": "unknown_task", "reason": "deadline"})[-1] == "deadline"
    assert row(task)[-1] is None


def test_a_summary_counts_all_states_that_there_are() -> None:
    """Somebody who lists what is pending would not see how many were abandoned."""
    assert (
        summary(1, {"submitted": 1, "running": 0, "abandoned": 2})
        == "1 shown; submitted or watched: 1 submitted, 2 abandoned."
    )
    assert summary(0, {"submitted": 0}) == "0 shown; submitted or watched: none."
