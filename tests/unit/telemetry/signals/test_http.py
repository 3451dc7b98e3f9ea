from __future__ import annotations

from relay.telemetry.log import configure_logging
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log


def test_a_flood_of_what_is_not_http_is_logged_sparingly(log: Log) -> None:
    """A client that sends rubbish could fill the disk with our own log lines."""
    configure_logging("info", "json")
    signals = HttpSignals(Telemetry())
    for _ in range(1000):
        signals.request_malformed("192.0.2.1", "BadStatusLine")
    assert 0 < len(log.lines) < 20
    assert {line["event"] for line in log.lines} == {"request malformed"}
