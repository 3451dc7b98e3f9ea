"""Spans by OpenTelemetry's SDK, sent as OTLP over HTTP. Imported if tracing is on.

A span that ends is put into a bounded queue, and a thread of the SDK's sends them. Nothing waits for the collector:
when it is slow or away, the oldest spans are lost, and the log says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from relay import __version__
from relay.core.trace import traceparent_of
from relay.telemetry.log import LogRateLimiter
from relay.telemetry.spans import Attributes, Kind, Span, Spans
from relay.threads import call

_PATH: Final = "/v1/traces"
_KINDS: Final[dict[Kind, trace.SpanKind]] = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
}


class OtelSpans(Spans):
    """Spans of one relay. What is not given is as the variables ``OTEL_*`` say, else as the SDK has it.

    ``endpoint`` is the collector's address without the signal's path; ``sample_ratio`` the part of the traces begun
    here that is recorded, 0 to 1. Traces begun elsewhere are recorded if they are recorded there.
    """

    on = True

    def __init__(self, instance: str, *, endpoint: str | None = None, sample_ratio: float | None = None) -> None:
        self._provider = TracerProvider(
            sampler=None if sample_ratio is None else ParentBased(TraceIdRatioBased(sample_ratio)),
            resource=resource_of(instance),
            shutdown_on_exit=False,  # it would wait for the collector; ``close`` does, for as long as its caller allows
        )
        self._exporter = _Watched(endpoint=None if endpoint is None else endpoint + _PATH)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("relay", __version__)

    def begin(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        *,
        parent: str | None = None,
        links: Sequence[str] = (),
        at: int | None = None,
    ) -> Span:
        above = context_of(parent) if parent is not None else None
        span = self._tracer.start_span(
            name,
            # An empty context: a trace goes from part to part as text here, never by what happens to be current.
            context=trace.set_span_in_context(trace.NonRecordingSpan(above or trace.INVALID_SPAN_CONTEXT)),
            kind=_KINDS[kind],
            attributes=_without_none(attributes),
            links=[trace.Link(context) for link in links if (context := context_of(link)) is not None],
            start_time=at,
        )
        return _OtelSpan(span)

    async def close(self, timeout: float) -> None:
        # In a thread that no exit waits for: a collector that hangs must not hold up the end of the process.
        sent = asyncio.wrap_future(call(self._provider.shutdown))
        await last_within(timeout, sent, self._exporter)


class _OtelSpan(Span):
    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        context = span.get_span_context()
        super().__init__(_text_of(context) if context.is_valid else None)  # where OTEL_SDK_DISABLED

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(_without_none(attributes))

    def end(self, *, error: str | None = None) -> None:
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


class _Watched(OTLPSpanExporter):
    """An exporter whose failures are logged: the SDK's own log quotes what it likes, so it is off."""

    def __init__(self, endpoint: str | None) -> None:
        super().__init__(endpoint=endpoint)
        self._limiter = LogRateLimiter(lines=1)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS and (suppressed := self._limiter.allow()) is not None:
            hint = "Check tracing.endpoint, and whether the collector takes OTLP over HTTP there."
            structlog.get_logger("relay").warning("spans not exported", spans=len(spans), hint=hint, **suppressed)
        return result


class Exporter(Protocol):
    """What sends one signal to the collector."""

    def shutdown(self) -> None:
        """Has the attempt under way be the last one."""
        ...


async def last_within(timeout: float, sent: Awaitable[object], *exporters: Exporter) -> None:
    """Waits for what is sent last, at most ``timeout`` seconds; after that the exporters try nothing again."""
    try:
        async with asyncio.timeout(timeout):
            await sent
    except TimeoutError:
        # Else the threads would go on trying, each batch for as long as the SDK likes.
        for exporter in exporters:
            exporter.shutdown()


def resource_of(instance: str) -> Resource:
    """Who sends the spans. What ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` say goes first."""
    ours = {"service.name": "relay", "service.version": __version__, "service.instance.id": instance}
    said = OTELResourceDetector().detect().attributes
    return Resource.create({key: value for key, value in ours.items() if key not in said})


def context_of(traceparent: str) -> trace.SpanContext | None:
    """``None``: not valid (an event from a journal of before it was checked)."""
    if traceparent_of((traceparent,)) is None:
        return None
    _, trace_id, span_id, flags = traceparent.split("-")
    return trace.SpanContext(int(trace_id, 16), int(span_id, 16), True, trace.TraceFlags(int(flags, 16)))


def _text_of(context: trace.SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _without_none(attributes: Attributes) -> dict[str, str | int | float | bool | Sequence[str]]:
    return {name: value for name, value in attributes.items() if value is not None}
