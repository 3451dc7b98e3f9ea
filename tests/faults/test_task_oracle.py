from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.request_shapes import ASYNCHRONOUS
from tests.faults.harness.oracle import Seen
from tests.faults.harness.task_load import Plan, plans
from tests.faults.harness.task_oracle import judge_tasks, orders, too_fast

PLAIN = Plan(1, ASYNCHRONOUS[0], "none", "succeeded")
STAGED = Plan(2, ASYNCHRONOUS[0], "contradict", "failed", contradicted=True)
ANSWERED = {"t1": PLAIN, "t2": STAGED}
GOOD = ["t1:submitted", "t1:succeeded", "t2:failed", "t2:submitted", "t2:conflicted:ab12"]


def seen(*ids: str) -> list[Seen]:
    return [Seen(event_id, event_id.partition(":")[0], b"") for event_id in ids]


def test_a_faithful_sink_passes() -> None:
    """Broken: the oracle would see faults where there are none, and be ignored."""
    others = frozenset({"t3", "t4"})
    verdict = judge_tasks(ANSWERED, others, seen(*GOOD, "t3:succeeded", "t4:submitted"))
    assert verdict.holds, verdict


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("repeated", lambda ids: [*ids, "t1:submitted"]),
        ("unsubmitted", lambda ids: ids[1:]),
        ("unended", lambda ids: [ids[0], *ids[2:]]),
        ("ended_twice", lambda ids: [*ids, "t1:abandoned"]),
        ("ended_twice", lambda ids: [*ids, "t3:abandoned", "t3:failed"]),
        ("ended_wrong", lambda ids: [ids[0], "t1:failed", *ids[2:]]),
        ("contradicted_wrong", lambda ids: ids[:4]),
        ("contradicted_wrong", lambda ids: [*ids, "t1:conflicted:cd34"]),
        ("contradicted_wrong", lambda ids: [*ids, "t2:conflicted:cd34"]),
        ("unknown", lambda ids: [*ids, "t9:succeeded"]),
    ],
)
def test_each_kind_of_fault_is_caught(fault: str, change: Callable[[list[str]], list[str]]) -> None:
    """Broken: the test of 5,000 tasks could pass over tasks that end twice, wrongly or never."""
    verdict = judge_tasks(ANSWERED, frozenset({"t3"}), seen(*change(GOOD)))
    assert getattr(verdict, fault), verdict


def test_orders_are_kept_apart_by_task() -> None:
    """Broken: an order that differs between the sinks would not show, or the partitions would look like one."""
    assert orders(seen("t1:a", "t2:a", "t1:b")) == {"t1": ["t1:a", "t1:b"], "t2": ["t2:a"]}


def test_polls_beyond_the_rate_are_caught_in_any_stretch() -> None:
    """Broken: a burst after an outage would hide in the average."""
    steady = [(second, 10) for second in range(5, 60)]
    assert too_fast(steady, rate=10, slack=2) == []
    assert too_fast([*steady, (61, 13)], rate=10, slack=2)
    assert too_fast([(0, 12), (1, 12), (2, 12)], rate=10, slack=2)


def test_the_plans_have_the_shares_that_they_are_to_have() -> None:
    """Broken: the test would be easier than it says."""
    made = plans(5000, 1, "9s")
    share = {word: sum(word in plan.simulate for plan in made) / len(made) for word in ("lost", "doubled", "late=")}
    assert share["lost"] == pytest.approx(0.3, abs=0.03)
    assert share["doubled"] == pytest.approx(0.2, abs=0.03)
    assert share["late="] == pytest.approx(0.1, abs=0.02)
    assert sum(plan.contradicted for plan in made) / len(made) == pytest.approx(0.02, abs=0.006)
    assert {plan.shape.path for plan in made} >= {shape.path for shape in ASYNCHRONOUS}
    assert plans(5000, 1, "9s") == made
