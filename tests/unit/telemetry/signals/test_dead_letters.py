from __future__ import annotations

from relay.telemetry.log import configure_logging
from relay.telemetry.signals.dead_letters import DeadLetterSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import values


def test_dead_letters_that_are_gone_for_good_are_counted_and_logged(log: Log) -> None:
    """Events would be lost for good, and nothing would say so (P5)."""
    configure_logging("info", "json")
    DeadLetterSignals(telemetry := Telemetry()).dead_letters_expired(3, "age")
    assert values(telemetry, "relay_dead_letters_expired_total") == {("age",): 3}
    assert [(line["level"], line["count"], line["cause"]) for line in log.lines] == [("warning", 3, "age")]


def test_all_dead_letters_count_in_the_same_place() -> None:
    """A refusal of a sink and one of a source would be two figures, and neither all of them."""
    telemetry = Telemetry()
    for reason in ("not_json", "too_large", "not_json"):
        DeadLetterSignals(telemetry).dead_letter_made(reason)
    assert values(telemetry, "relay_dead_letters_total") == {("not_json",): 2, ("too_large",): 1}
