"""Signals about consumers."""

from __future__ import annotations

from structlog.testing import capture_logs

from relay.telemetry.signals.consumers import ConsumerSignals
from relay.telemetry.telemetry import Telemetry


def test_a_consumer_that_is_cut_is_counted_and_logged_and_one_that_leaves_is_only_counted() -> None:
    """Nobody would know why a consumer lags, or the log would be full of those who close their window."""
    telemetry = Telemetry()
    signals = ConsumerSignals(telemetry)
    with capture_logs() as logged:
        for outcome in ("cut", "left"):
            signals.consumer_begun("live")
            signals.consumer_ended("live", outcome, "::1")
        signals.consumer_refused("page", "::1")

    def sample(name: str, **labels: str) -> float | None:
        return telemetry.metrics.registry.get_sample_value(name, labels)

    assert [(line["event"], line["kind"]) for line in logged] == [
        ("consumer cut", "live"),
        ("consumer refused", "page"),
    ]
    assert sample("relay_consumers_active", kind="live") == 0
    assert {o: sample("relay_consumers_total", kind="live", outcome=o) for o in ("cut", "left")} == {
        "cut": 1,
        "left": 1,
    }
    assert sample("relay_consumers_total", kind="page", outcome="refused") == 1
