"""relay's metrics as OTLP has them."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Metric, Sum

from relay.telemetry import otel_metrics
from relay.telemetry.metrics import Metrics
from relay.telemetry.otel_metrics import InferenceFigures, points_of
from tests.unit.telemetry.test_gen_ai import ended


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


def test_combinations_beyond_the_limit_are_counted_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client could fill relay's memory with names of models; or what it spends would be in no figure."""
    monkeypatch.setattr(otel_metrics, "MAX_SERIES", 2)
    figures = InferenceFigures()
    for model in "abcda":
        figures.ended(model, ended())
    found: dict[str, Any] = {metric.name: metric.data for metric in figures.points(1, 2)}
    tokens = found["gen_ai.client.inference.usage.input_tokens"].data_points
    assert [point.value for point in tokens] == [10, 5, 10]
    assert tokens[-1].attributes == {"otel.metric.overflow": True}
    assert [point.count for point in found["gen_ai.client.inference.duration"].data_points] == [2, 1, 2]


def test_only_streams_have_a_first_chunk_and_only_chats_with_an_end_a_duration() -> None:
    """Averages would be drawn down, or up, by chats that have no such time."""
    figures = InferenceFigures()
    nothing = {"started_at": "", "first_byte_ms": 5, "first_token_ms": None, "duration_ms": None}
    figures.ended("a", ended(chunks=0, timings=nothing, tokens=dict.fromkeys(ended()["tokens"])))
    assert figures.points(1, 2) == []
