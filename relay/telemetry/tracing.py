"""What OpenTelemetry gets of relay: spans if tracing is enabled, metrics and events if ``telemetry.otlp`` says so."""

from __future__ import annotations

from relay.core.errors import RelayError
from relay.settings.model import OtlpSettings, TracingSettings
from relay.telemetry.inferences import SILENT, Inferences
from relay.telemetry.metrics import Metrics
from relay.telemetry.spans import OFF, Spans


def open_spans(settings: TracingSettings, instance: str) -> Spans:
    """The spans that the settings ask for. ``instance`` names this replica.

    OpenTelemetry is imported here, and only if it is needed. Raises ``RelayError`` where it refuses its variables.
    """
    if not settings.enabled:
        return OFF
    from relay.telemetry.otel import OtelSpans

    try:
        return OtelSpans(instance, endpoint=settings.endpoint, sample_ratio=settings.sample_ratio)
    except ValueError as error:
        raise _refused(error, "tracing.enabled") from None


def open_inferences(settings: OtlpSettings, instance: str, metrics: Metrics) -> Inferences:
    """What the settings ask for beside spans; as ``open_spans``."""
    if not (settings.metrics or settings.events):
        return SILENT
    from relay.telemetry.otel_inferences import OtelInferences

    try:
        return OtelInferences(settings, instance, metrics)
    except ValueError as error:
        raise _refused(error, "telemetry.otlp.metrics and events") from None


def _refused(error: ValueError, keys: str) -> RelayError:
    """Without its text, which may quote a variable."""
    return RelayError(
        "bad_tracing",
        f"OpenTelemetry refuses a variable OTEL_* ({type(error).__name__}).",
        hint=f"Check the variables OTEL_* of this process, or set {keys} to false.",
    )
