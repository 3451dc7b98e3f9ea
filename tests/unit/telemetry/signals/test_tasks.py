from __future__ import annotations

from typing import get_args

from relay.core.tasks.reconcile import Result
from relay.telemetry.log import configure_logging
from relay.telemetry.signals.tasks import TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import busy, values


def signals(telemetry: Telemetry) -> TaskSignals:
    return TaskSignals(telemetry, UpstreamSignals(telemetry))


def test_the_registry_and_the_polls_are_counted() -> None:
    """Nobody would see that webhooks get lost, or that polling does not keep up."""
    telemetry = busy()
    assert values(telemetry, "relay_tasks_pending") == {(): 4}
    assert values(telemetry, "relay_tasks_overdue") == {(): 2}
    assert values(telemetry, "relay_publish_lag_expiring_events") == {("kafka",): 3}
    results = dict.fromkeys([(result,) for result in (*get_args(Result), "abandoned")], 0)
    assert values(telemetry, "relay_polls_total") == results | {("succeeded",): 1}


def test_the_upstream_is_up_while_it_answers() -> None:
    """An alert on the upstream would not fire, never end, or cry over a rate limit."""
    tasks = signals(telemetry := Telemetry())
    readings = []
    for signal in (
        tasks.upstream_answered,
        lambda: tasks.polling_paused("rate_limited", 1.0),
        lambda: tasks.polling_paused("unauthorized", 1.0),
        lambda: tasks.polling_paused("rate_limited", 1.0),
        tasks.upstream_answered,
        lambda: tasks.polling_paused("unreachable", 1.0),
    ):
        signal()
        readings.append(values(telemetry, "relay_upstream_up")[()])
    assert readings == [1, 1, 0, 0, 1, 0]


def test_a_pause_is_reported_once_per_cause_with_what_to_do(log: Log) -> None:
    """A refused key would fill the log for a weekend, or nobody would hear of it."""
    configure_logging("info", "json")
    tasks = signals(Telemetry())
    for result in ("unauthorized", "unauthorized", "unreachable", "unreachable"):
        tasks.polling_paused(result, 1.0)
    tasks.upstream_answered()
    tasks.upstream_answered()
    tasks.polling_paused("rate_limited", 2.0)
    assert [(line["event"], line.get("reason")) for line in log.lines] == [
        ("polling pauses", "unauthorized"),
        ("polling pauses", "unreachable"),
        ("polling resumed", None),
        ("polling pauses", "rate_limited"),
    ]
    assert ["upstream.api_key" in line.get("hint", "") for line in log.lines] == [True, False, False, False]


def test_what_becomes_of_single_tasks_is_reported(log: Log) -> None:
    """An abandoned task could not be found in the log, or a bug would be silent."""
    configure_logging("debug", "json")
    tasks = signals(Telemetry())
    tasks.task_abandoned("t1", "deadline")
    tasks.poll_failed(ValueError("x"))
    tasks.ending_was_known()
    assert [(line["level"], line["event"]) for line in log.lines] == [
        ("warning", "task abandoned"),
        ("error", "poll failed"),
        ("debug", "task had ended before it was registered"),
    ]
    assert (log.lines[0]["task_id"], log.lines[0]["reason"]) == ("t1", "deadline")
