from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from relay.simulator.tasks.faults import Fate
from relay.simulator.tasks.results import Json
from relay.simulator.tasks.task import FAILED, PROCESSING, SUCCEED, UNKNOWN
from relay.simulator.tasks.webhook_plan import plan, render
from tests.unit.simulator.tasks.tasks_made import make_task

NOW = 1_700_000_009_000


def rendered(fate: Fate, ends_in: str | None = SUCCEED) -> list[Json]:
    task = make_task(fate=fate, ends_in=ends_in)
    return [orjson.loads(render(task, planned, NOW)) for planned in plan(task)]


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        (Fate(), [("terminal", SUCCEED)]),
        (Fate(lost=True, doubled=2, progress=True), []),
        (Fate(progress=True), [("progress", PROCESSING), ("terminal", SUCCEED)]),
        (Fate(reordered=True), [("terminal", SUCCEED), ("progress", PROCESSING)]),
        (Fate(resigned=True), [("terminal", SUCCEED), ("resigned", SUCCEED)]),
        (Fate(contradict="status"), [("terminal", SUCCEED), ("contradiction", FAILED)]),
        (Fate(contradict="outputs"), [("terminal", SUCCEED), ("contradiction", SUCCEED)]),
    ],
)
def test_a_fate_sends_its_webhooks_in_its_order(fate: Fate, said: list[tuple[str, str]]) -> None:
    """The scenario that a fault names would not be the one that is played."""
    assert [(planned.label, planned.phase.status) for planned in plan(make_task(fate=fate))] == said


def test_a_task_that_never_ends_reports_no_end() -> None:
    """A deadline for silent tasks could not be tried."""
    assert plan(make_task(ends_in=None)) == ()
    assert [planned.label for planned in plan(make_task(ends_in=None, fate=Fate(progress=True)))] == ["progress"]


def test_a_failed_task_is_contradicted_by_a_success_even_in_its_outputs() -> None:
    """A contradiction in outputs of a task without any would state the same again."""
    task = make_task(ends_in=FAILED, fate=Fate(contradict="outputs"))
    assert [planned.phase.status for planned in plan(task)] == [FAILED, SUCCEED]


def test_only_the_terminal_event_is_doubled_dropped_or_unanswered() -> None:
    """The contradiction would be lost with the event that it contradicts."""
    fate = Fate(doubled=3, dropped=1, unanswered=2, contradict="status", late=10.0)
    terminal, contradiction = plan(make_task(fate=fate))
    assert (terminal.copies, terminal.dropped, terminal.unanswered, terminal.after) == (3, 1, 2, 15.0)
    assert (contradiction.copies, contradiction.dropped, contradiction.unanswered) == (1, 0, 0)


def test_a_contradiction_in_outputs_names_other_objects_and_a_resigned_url_the_same() -> None:
    """A receiver could not distinguish a re-signed URL from another object, which is the point of both."""
    for fate, same in ((Fate(contradict="outputs"), False), (Fate(resigned=True), True)):
        first, second = (body["payload"]["images"][0]["image_url"] for body in rendered(fate))
        assert first != second
        assert (first.partition("?")[0] == second.partition("?")[0]) is same


def test_the_body_is_the_envelope_unless_requested_otherwise() -> None:
    """A receiver would not meet the shapes that it has to distinguish."""
    assert set(rendered(Fate())[0]) == {"event_type", "payload"}
    assert "task" in rendered(Fate(bare=True))[0]
    assert rendered(Fate(unknown_event=True))[0]["event_type"] != "ASYNC_TASK_RESULT"
    assert "task" not in rendered(Fate(malformed=True))[0]["payload"]


def test_an_unknown_status_is_pushed_as_it_is() -> None:
    """A receiver that takes every status it does not know for an end would not be caught."""
    body = rendered(Fate(unknown_status=True), ends_in=UNKNOWN)[0]
    assert body["payload"]["task"]["status"] == UNKNOWN


def test_a_plan_does_not_depend_on_when_it_is_made() -> None:
    """Two runs with one seed would deliver other webhooks."""
    task = make_task(fate=Fate(doubled=2, reordered=True))
    assert plan(task) == plan(replace(task, submitted_at=task.submitted_at + 1))
