from __future__ import annotations

import math

from relay.telemetry.log import configure_logging
from relay.telemetry.signals.outputs import OutputSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import values


def test_outputs_are_counted_by_how_they_ended() -> None:
    """An alert on lost outputs would not fire, or the dashboard show none that are archived."""
    outputs = OutputSignals(telemetry := Telemetry())
    outputs.archived(1000, 2.5)
    outputs.archived(500, -1.0)
    outputs.lost("t1", 0, "too_large")
    outputs.attempt_failed("t2", 0, "timeout", "m", 1.0)
    assert values(telemetry, "relay_outputs_total") == {("archived",): 2, ("lost",): 1}
    assert values(telemetry, "relay_outputs_bytes_total") == {(): 1500}
    assert values(telemetry, "relay_outputs_failures_total") == {("timeout",): 1}
    assert values(telemetry, "relay_outputs_seconds_count") == {(): 2}
    assert values(telemetry, "relay_outputs_seconds_sum") == {(): 2.5}


def test_nothing_that_waits_has_no_deadline() -> None:
    """An alert on the nearest deadline would fire while there is none."""
    outputs = OutputSignals(telemetry := Telemetry())
    assert math.isnan(values(telemetry, "relay_outputs_nearest_deadline_seconds")[()])
    outputs.looked_at(3, 120.0)
    assert values(telemetry, "relay_outputs_nearest_deadline_seconds") == {(): 120}
    assert values(telemetry, "relay_outputs_waiting") == {(): 3}
    outputs.looked_at(0, None)
    assert math.isnan(values(telemetry, "relay_outputs_nearest_deadline_seconds")[()])


def test_a_store_that_is_down_is_reported_once_per_cause_with_what_to_do(log: Log) -> None:
    """An outage of a night would fill the log, or nobody would hear of it."""
    configure_logging("info", "json")
    outputs = OutputSignals(Telemetry())
    for reason in ("store_denied", "store_denied", "store_full"):
        outputs.store_failed(reason, "it cannot be used", "Check it.", 1.0)
    outputs.store_answered()
    outputs.store_answered()
    assert [(line["event"], line.get("reason")) for line in log.lines] == [
        ("archiving pauses", "store_denied"),
        ("archiving pauses", "store_full"),
        ("archiving resumed", None),
    ]
    assert log.lines[0]["hint"] == "Check it."
