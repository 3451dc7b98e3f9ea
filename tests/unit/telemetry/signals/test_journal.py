from __future__ import annotations

from relay.core.errors import RelayError
from relay.core.event import Entry
from relay.telemetry.log import configure_logging
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.drafts import draft
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import values


def test_a_journal_that_cannot_go_on_says_what_to_do(log: Log) -> None:
    """The operator would know that the journal broke or is full, not what to do."""
    configure_logging("info", "json")
    signals, error = JournalSignals(Telemetry()), RelayError("disk_full", "It is full.", hint="Make room.")
    signals.journal_broke(error)
    signals.journal_ran_full(error)
    shown = [(line["level"], line["code"], line["error"], line["hint"]) for line in log.lines]
    assert shown == [(level, "disk_full", "It is full.", "Make room.") for level in ("critical", "error")]


def test_dead_letters_that_are_gone_for_good_are_counted_and_logged(log: Log) -> None:
    """Events would be lost for good, and nothing would say so (P5)."""
    configure_logging("info", "json")
    JournalSignals(telemetry := Telemetry()).dead_letters_expired(3, "age")
    assert values(telemetry, "relay_dead_letters_expired_total") == {("age",): 3}
    assert [(line["level"], line["count"], line["cause"]) for line in log.lines] == [("warning", 3, "age")]


def test_accepted_events_are_counted_by_type() -> None:
    """How many tasks fail could only be found by reading all events."""
    signals = JournalSignals(telemetry := Telemetry())
    entries = [Entry(offset, 0, draft(f"t{offset}").event) for offset in (1, 2)]
    signals.group_committed(entries, 3, 0.002)
    signals.group_committed(entries[:1], 1, 0.002)
    assert values(telemetry, "relay_events_total") == {("relay.task.succeeded",): 3}


def test_all_dead_letters_count_in_the_same_place() -> None:
    """A refusal of a sink and one of a source would be two figures, and neither all of them."""
    telemetry = Telemetry()
    DeliverySignals(telemetry, "novita").delivery_buried("not_json", "dead-1")
    DeliverySignals(telemetry, "other").delivery_buried("not_json", "dead-2")
    SinkSignals(telemetry, "kafka").event_buried("too_large", "e1", "1 MB")
    assert values(telemetry, "relay_dead_letters_total") == {("not_json",): 2, ("too_large",): 1}
