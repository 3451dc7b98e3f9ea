from __future__ import annotations

from relay.core.errors import RelayError
from relay.telemetry.log import configure_logging
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import values


def test_a_sinks_state_follows_its_connection() -> None:
    """An alert on a sink would not fire, or never end."""
    telemetry = Telemetry()
    sink = SinkSignals(telemetry, "kafka")
    sink.sink_opened(0, 0)
    assert values(telemetry, "relay_sink_up") == {("kafka",): 1}
    sink.sink_lost(RelayError("timeout", "m"), 1.0)
    assert values(telemetry, "relay_sink_up") == {("kafka",): 0}
    assert values(telemetry, "relay_publish_failures_total") == {("timeout", "kafka"): 1}


def test_a_sink_says_what_keeps_it_and_since_when() -> None:
    """Somebody who looks at the status would see that a sink is down, and neither why nor for how long."""
    sink = SinkSignals(Telemetry(), "main", "kafka")
    assert (sink.system, sink.up, sink.trouble) == ("kafka", None, None)
    sink.sink_lost(RelayError("timeout", "m", hint="h"), 1.0)
    first = sink.trouble
    assert first is not None
    assert (sink.up, first.code, first.message, first.hint) == (False, "timeout", "m", "h")
    sink.sink_lost(RelayError("refused", "n"), 1.0)
    assert sink.trouble is not None
    assert (sink.trouble.code, sink.trouble.since) == ("refused", first.since)
    sink.sink_opened(0, 0)
    assert (sink.up, sink.trouble) == (True, None)


def test_a_sink_that_stays_down_is_reported_once(log: Log) -> None:
    """Each attempt would be a line for as long as an outage lasts."""
    configure_logging("info", "json")
    sink = SinkSignals(Telemetry(), "kafka")
    for code in ("timeout", "timeout", "refused", "refused"):
        sink.sink_lost(RelayError(code, "m", hint="h"), 0.5)
    sink.sink_opened(0, 0)
    sink.sink_lost(RelayError("refused", "m", hint="h"), 0.5)
    assert [(line["event"], line.get("code")) for line in log.lines] == [
        ("sink unavailable", "timeout"),
        ("sink unavailable", "refused"),
        ("sink opened", None),
        ("sink unavailable", "refused"),
    ]
