"""Metrics and events by OpenTelemetry's SDK, sent as OTLP over HTTP: relay's own metrics, those of the conventions for
generative AI, and the event with a chat's details. Imported if ``telemetry.otlp`` is on.

Nothing waits for the collector. While it is away, metrics go on counting, and the oldest events are lost; the log
says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from opentelemetry import context, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.metrics.export import (
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from relay import __version__
from relay.core.chat.events import ChatData
from relay.settings.model import OtlpSettings
from relay.telemetry.gen_ai import EVENT, event_attributes
from relay.telemetry.inferences import Inferences
from relay.telemetry.log import LogRateLimiter
from relay.telemetry.metrics import Metrics
from relay.telemetry.otel import context_of, last_within, resource_of
from relay.telemetry.otel_metrics import InferenceFigures, points_of
from relay.threads import call

_SCOPE: Final = InstrumentationScope("relay", __version__)
_HINT: Final = "Check telemetry.otlp.endpoint, and whether the collector takes OTLP over HTTP there."


class OtelInferences(Inferences):
    """Those of one relay. What is not given is as the variables ``OTEL_*`` say, else as the SDK has it."""

    on = True

    def __init__(self, settings: OtlpSettings, instance: str, metrics: Metrics) -> None:
        self._every = settings.interval
        self._metrics = _MetricSender(settings.endpoint, instance, metrics) if settings.metrics else None
        self._events = _EventSender(settings.endpoint, instance, settings.content) if settings.events else None

    def ended(self, asked: str | None, data: ChatData, traceparent: str | None) -> None:
        if self._metrics is not None:
            self._metrics.figures.ended(asked, data)
        if self._events is not None:
            self._events.ended(asked, data, traceparent)

    async def run(self, refresh: Callable[[], Awaitable[None]]) -> None:
        while self._metrics is not None:
            await asyncio.sleep(self._every)
            await refresh()
            await self._metrics.send()

    async def close(self, timeout: float) -> None:
        senders = [sender for sender in (self._metrics, self._events) if sender is not None]
        sent = asyncio.gather(*(sender.send() for sender in senders))
        await last_within(timeout, sent, *(sender.exporter for sender in senders))


class _MetricSender:
    def __init__(self, endpoint: str | None, instance: str, metrics: Metrics) -> None:
        self._relays, self._begun = metrics, time.time_ns()
        self.exporter = OTLPMetricExporter(endpoint=None if endpoint is None else endpoint + "/v1/metrics")
        self._limiter = LogRateLimiter(lines=1)
        self._resource = resource_of(instance)
        self.figures = InferenceFigures()

    async def send(self) -> None:
        """Reads everything in this turn, and sends it from a thread that nobody has to wait for."""
        try:
            result = await asyncio.wrap_future(call(self.exporter.export, self._read()))
        except Exception:  # a bug there must not end the reports for good
            result = MetricExportResult.FAILURE
        if result is not MetricExportResult.SUCCESS and (suppressed := self._limiter.allow()) is not None:
            structlog.get_logger("relay").warning("metrics not exported", hint=_HINT, **suppressed)

    def _read(self) -> MetricsData:
        now = time.time_ns()
        found = points_of(self._relays.registry.collect(), self._begun, now) + self.figures.points(self._begun, now)
        return MetricsData([ResourceMetrics(self._resource, [ScopeMetrics(_SCOPE, found, "")], "")])


class _EventSender:
    def __init__(self, endpoint: str | None, instance: str, content: bool) -> None:
        self._content = content
        self._provider = LoggerProvider(resource_of(instance), shutdown_on_exit=False)
        self.exporter = _WatchedEvents(endpoint=None if endpoint is None else endpoint + "/v1/logs")
        self._provider.add_log_record_processor(BatchLogRecordProcessor(self.exporter))
        self._logger = self._provider.get_logger("relay", __version__)

    def ended(self, asked: str | None, data: ChatData, traceparent: str | None) -> None:
        span = context_of(traceparent) if traceparent is not None else None
        within = trace.set_span_in_context(
            trace.NonRecordingSpan(span or trace.INVALID_SPAN_CONTEXT), context.Context()
        )
        self._logger.emit(
            LogRecord(
                timestamp=time.time_ns(),
                context=within,
                severity_number=SeverityNumber.INFO,
                attributes=event_attributes(asked, data, content=self._content),
                event_name=EVENT,
            )
        )

    async def send(self) -> None:
        """Sends what is left, from a thread that nobody has to wait for, and takes nothing more."""
        await asyncio.wrap_future(call(self._provider.shutdown))


class _WatchedEvents(OTLPLogExporter):
    """An exporter whose failures are logged: the SDK's own log quotes what it likes, so it is off."""

    def __init__(self, endpoint: str | None) -> None:
        super().__init__(endpoint=endpoint)
        self._limiter = LogRateLimiter(lines=1)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        result = super().export(batch)
        if result is not LogRecordExportResult.SUCCESS and (suppressed := self._limiter.allow()) is not None:
            structlog.get_logger("relay").warning("events not exported", events=len(batch), hint=_HINT, **suppressed)
        return result
