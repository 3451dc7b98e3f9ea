"""Which spans relay uses: OpenTelemetry's if tracing is enabled, else none."""

from __future__ import annotations

from relay.core.errors import RelayError
from relay.settings.model import TracingSettings
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
    except ValueError as error:  # its text may quote a variable
        raise RelayError(
            "bad_tracing",
            f"OpenTelemetry refuses a variable OTEL_* ({type(error).__name__}).",
            hint="Check the variables OTEL_* of this process, or set tracing.enabled to false.",
        ) from None
