"""A collector of traces, metrics and events: takes OTLP over HTTP, as OpenTelemetry's does, and shows what came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2

WITHIN = 30.0


@dataclass(frozen=True)
class Span:
    """One span. ``trace``, ``id`` and ``parent`` in hex; ``links`` as (trace, span)."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    failed: bool
    start: int
    end: int
    resource: dict[str, Any]

    @property
    def place(self) -> tuple[str, str]:
        """Its trace and itself, as links and traceparents name it."""
        return self.trace, self.id


@dataclass(frozen=True)
class Point:
    """One data point. ``value``: a number, or of a histogram its count, sum, bounds and counts between them."""

    unit: str
    kind: str
    attributes: dict[str, Any]
    value: Any


@dataclass(frozen=True)
class LogEvent:
    """One log record that is an event. ``trace`` and ``span`` in hex, of one without: empty."""

    name: str
    attributes: dict[str, Any]
    trace: str
    span: str


@dataclass
class Collector:
    """What arrived so far."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    reports: int = 0
    metrics: dict[str, list[Point]] = field(default_factory=dict)
    """Those of the last report."""
    events: list[LogEvent] = field(default_factory=list)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once that is so."""
        async with asyncio.timeout(WITHIN):
            while not condition():
                await asyncio.sleep(0.02)

    async def one(self, name: str, such: Callable[[Span], bool] = lambda _: True) -> Span:
        """The one span of that name, once it is there."""
        await self.until(lambda: any(such(span) for span in self.named(name)))
        [span] = [span for span in self.named(name) if such(span)]
        return span

    async def _take(self, request: web.Request) -> web.Response:
        assert request.headers["Content-Type"] == "application/x-protobuf"
        body = await request.read()
        self.bodies.append(body)
        self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def _take_metrics(self, request: web.Request) -> web.Response:
        self.bodies.append(body := await request.read())
        self.metrics = _metrics(ExportMetricsServiceRequest.FromString(body))
        self.reports += 1
        answer = ExportMetricsServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def _take_events(self, request: web.Request) -> web.Response:
        self.bodies.append(body := await request.read())
        for group in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope in group.scope_logs:
                self.events += [
                    LogEvent(each.event_name, _attributes(each.attributes), each.trace_id.hex(), each.span_id.hex())
                    for each in scope.log_records
                ]
        answer = ExportLogsServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """A collector on a free loopback port."""
    collecting = Collector()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/traces", collecting._take)
    app.router.add_post("/v1/metrics", collecting._take_metrics)
    app.router.add_post("/v1/logs", collecting._take_events)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collecting.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collecting
    finally:
        await runner.cleanup()


def _spans(request: ExportTraceServiceRequest) -> list[Span]:
    return [
        _span(span, _attributes(group.resource.attributes))
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _span(span: trace_pb2.Span, resource: dict[str, Any]) -> Span:
    return Span(
        span.name,
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        _attributes(span.attributes),
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        resource,
    )


def _metrics(request: ExportMetricsServiceRequest) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for group in request.resource_metrics:
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                points = getattr(metric, kind).data_points
                found.setdefault(metric.name, []).extend(
                    Point(metric.unit, kind, _attributes(point.attributes), _number(point, kind)) for point in points
                )
    return found


def _number(point: Any, kind: str) -> Any:
    if kind == "histogram":
        return point.count, point.sum, list(point.explicit_bounds), list(point.bucket_counts)
    return getattr(point, point.WhichOneof("value"))


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)
