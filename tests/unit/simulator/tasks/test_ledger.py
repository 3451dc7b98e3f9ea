from __future__ import annotations

from dataclasses import replace

import pytest

from relay.simulator.tasks.faults import Fate
from relay.simulator.tasks.ledger import Attempt, Ledger
from tests.unit.simulator.tasks.tasks_made import make_task


def test_the_ledger_shows_tasks_and_attempts_without_the_webhooks_url() -> None:
    """A script could not check a receiver, or would read the receiver's secret."""
    ledger = Ledger(10)
    task = make_task(fate=Fate(doubled=2), webhook={"url": "https://relay.example/h/t0k3n"})
    ledger.enter(task, 0.0).attempts.append(Attempt(task.task_id, "terminal", "TASK_STATUS_SUCCEED", 1, 200, 5))
    shown = ledger.as_json()
    assert shown["tasks"] == [
        {
            "task_id": task.task_id,
            "path": "/v3/async/txt2img",
            "kind": "image",
            "task_type": "TXT_TO_IMG",
            "ends_in": "TASK_STATUS_SUCCEED",
            "faults": ["doubled"],
            "test": False,
            "submitted_at": task.submitted_at,
            "polls": 0,
        }
    ]
    assert shown["attempts"] == [
        {
            "task_id": task.task_id,
            "label": "terminal",
            "status": "TASK_STATUS_SUCCEED",
            "attempt": 1,
            "outcome": 200,
            "at": 5,
        }
    ]
    assert "t0k3n" not in str(shown)


def test_the_ledger_keeps_the_newest_tasks_in_order() -> None:
    """A simulator that runs for weeks would grow without end, or forget what was just submitted."""
    ledger = Ledger(2)
    for number in range(3):
        ledger.enter(replace(make_task(), task_id=f"t{number}"), 0.0)
    assert [task.task_id for task in ledger.tasks()] == ["t1", "t2"]
    assert ledger.find("t0") is None


def test_the_ledger_can_be_asked_about_one_task() -> None:
    """A script that follows one task among thousands would have to read them all."""
    ledger = Ledger(10)
    for name in ("a", "b"):
        record = ledger.enter(replace(make_task(), task_id=name), 0.0)
        record.attempts.append(Attempt(name, "terminal", "TASK_STATUS_SUCCEED", 1, 200, 0))
    assert [attempt.task_id for attempt in ledger.attempts("b")] == ["b"]
    assert [task["task_id"] for task in ledger.as_json("a")["tasks"]] == ["a"]
    nobody = ledger.as_json("c")
    assert (nobody["tasks"], nobody["attempts"]) == ([], [])


def test_the_ledger_counts_what_was_paid_for_and_polled() -> None:
    """A second paid task, or more polls than a limit allows, could not be held against a client."""
    ledger = Ledger(10)
    ledger.enter(make_task(), 0.0)
    ledger.answer({"images": [], "task": {"task_id": "x7"}})
    ledger.answer({"image_file": "QUJD"})
    for moment in (5.0, 5.9, 7.1):
        ledger.poll(moment)
    shown = ledger.as_json()
    assert (shown["paid"], shown["answered"]) == (3, ["x7"])
    assert shown["polls"] == {"total": 3, "most_in_a_second": 2}
    ledger.forget(make_task().task_id)
    assert ledger.paid == 2


@pytest.mark.parametrize(
    ("outcome", "delivered"), [(200, True), (204, True), (302, False), (503, False), ("timeout", False)]
)
def test_only_a_2xx_is_a_delivery(outcome: int | str, delivered: bool) -> None:
    """A redirect or an error would count as received, and never be repeated."""
    assert Attempt("t", "terminal", "s", 1, outcome, 0).delivered is delivered
