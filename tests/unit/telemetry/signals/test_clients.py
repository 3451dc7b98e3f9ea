"""The metric and the log of clients that meet their limits."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from relay.telemetry.signals import clients as module
from relay.telemetry.signals.clients import ClientSignals
from relay.telemetry.telemetry import Telemetry


def test_a_client_that_goes_on_is_counted_each_time_and_logged_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator would not see whose limit is too low, or see nothing else in the log."""
    monkeypatch.setattr(module, "MAX_CLIENTS", 1)
    telemetry = Telemetry()
    signals = ClientSignals(telemetry)
    with capture_logs() as lines:
        for _ in range(50):
            signals.limited("web", "tokens_per_minute")
        signals.limited("batch", "max_concurrent")
    value = telemetry.metrics.registry.get_sample_value
    assert value("relay_clients_limited_total", {"client": "web", "limit": "tokens_per_minute"}) == 50
    assert value("relay_clients_limited_total", {"client": "other", "limit": "max_concurrent"}) == 1
    assert lines[0] == {
        "event": "client limited",
        "client": "web",
        "limit": "tokens_per_minute",
        "log_level": "warning",
    }
    assert len(lines) < 20
