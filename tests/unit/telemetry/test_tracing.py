"""Whether there are spans, and whose."""

from __future__ import annotations

import pytest

from relay.core.errors import RelayError
from relay.settings.model import TracingSettings
from relay.telemetry.spans import OFF
from relay.telemetry.tracing import open_spans


def test_tracing_is_off_unless_it_is_asked_for() -> None:
    """Everybody would pay for what few want."""
    assert open_spans(TracingSettings(), "r0") is OFF
    assert not OFF.on


def test_a_variable_that_opentelemetry_refuses_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay would end with a traceback that quotes the variable."""
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "s3cret")
    with pytest.raises(RelayError, match="OTEL_") as caught:
        open_spans(TracingSettings(enabled=True), "r0")
    assert "s3cret" not in str(caught.value) + str(caught.value.hint)
