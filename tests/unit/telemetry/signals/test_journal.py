from __future__ import annotations

from relay.core.errors import RelayError
from relay.telemetry.log import configure_logging
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log


def test_a_journal_that_cannot_go_on_says_what_to_do(log: Log) -> None:
    """The operator would know that the journal broke or is full, not what to do."""
    configure_logging("info", "json")
    signals, error = JournalSignals(Telemetry()), RelayError("disk_full", "It is full.", hint="Make room.")
    signals.journal_broke(error)
    signals.journal_ran_full(error)
    shown = [(line["level"], line["code"], line["error"], line["hint"]) for line in log.lines]
    assert shown == [(level, "disk_full", "It is full.", "Make room.") for level in ("critical", "error")]
