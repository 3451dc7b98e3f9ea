from __future__ import annotations

from relay.telemetry.log import configure_logging
from relay.telemetry.signals.submissions import RESULTS, SubmissionSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import values


def test_each_way_to_end_is_a_result_of_its_own(log: Log) -> None:
    """The rate of failing submissions could not be separated from that of successful ones."""
    configure_logging("info", "json")
    telemetry = Telemetry()
    signals = SubmissionSignals(telemetry)
    signals.task_recorded()
    signals.submission_untracked()
    signals.answer_unreadable("not_json", "a page")
    signals.submission_refused(429)
    signals.upstream_unreachable("refused")
    signals.outcome_unknown("reset")
    signals.task_unrecorded("t1")
    signals.submission_rejected("overloaded")
    assert values(telemetry, "relay_submissions_total") == {(result,): 1 for result in RESULTS}


def test_a_task_that_may_be_lost_is_named_however_many_they_are(log: Log) -> None:
    """An operator could not register the tasks that a broken disk has cost."""
    configure_logging("info", "json")
    signals = SubmissionSignals(Telemetry())
    for number in range(50):
        signals.task_unrecorded(f"t{number}")
        signals.task_lost(f"t{number}")
        signals.outcome_unknown("reset")
    named = [line["task_id"] for line in log.lines if "task_id" in line]
    assert named == [f"t{number}" for number in range(50) for _ in range(2)]
    assert sum("outcome" in line["event"] for line in log.lines) < 20
