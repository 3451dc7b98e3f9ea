"""relay's metrics as OTLP has them."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import Gauge, Histogram, Metric, Sum

from relay.telemetry.metrics import Metrics
from relay.telemetry.otel_metrics import points_of


def exported(metrics: Metrics) -> dict[str, Metric]:
    return {metric.name: metric for metric in points_of(metrics.registry.collect(), 1, 2)}


def test_counters_and_gauges_keep_their_values_and_labels() -> None:
    """A view over OTLP would show other figures than one over Prometheus."""
    metrics = Metrics()
    counter = metrics.counter("relay_chats", "Chats.", "api", "reason")
    counter.labels("messages", "").inc(3)
    counter.labels("messages", "truncated").inc()
    metrics.gauge("relay_up", "Up.").set(1)
    metrics.counter("relay_unused", "Nothing yet.", "label")
    found = exported(metrics)
    assert sorted(found) == ["relay_chats", "relay_up"]
    chats, up = found["relay_chats"].data, found["relay_up"].data
    assert isinstance(chats, Sum)
    assert isinstance(up, Gauge)
    assert chats.is_monotonic
    assert [(point.attributes, point.value) for point in chats.data_points] == [
        ({"api": "messages"}, 3),
        ({"api": "messages", "reason": "truncated"}, 1),
    ]
    assert [(point.start_time_unix_nano, point.time_unix_nano, point.value) for point in up.data_points] == [(1, 2, 1)]


def test_a_histogram_counts_between_its_bounds() -> None:
    """Every quantile over OTLP would be wrong: Prometheus counts up to each bound."""
    metrics = Metrics()
    histogram = metrics.histogram("relay_wait_seconds", "Waits.", (0.1, 1.0), "model")
    for value in (0.05, 0.5, 0.6, 30.0):
        histogram.series("a").observe(value)
    histogram.series("b").observe(0.01)
    data: Any = exported(metrics)["relay_wait_seconds"].data
    assert isinstance(data, Histogram)
    first, second = data.data_points
    assert (first.attributes, first.count, first.sum) == ({"model": "a"}, 4, 31.15)
    assert (list(first.explicit_bounds), list(first.bucket_counts)) == ([0.1, 1.0], [1, 2, 1])
    assert (second.attributes, list(second.bucket_counts)) == ({"model": "b"}, [1, 0, 0])
