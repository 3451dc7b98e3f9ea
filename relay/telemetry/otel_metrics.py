"""relay's metrics as OpenTelemetry's SDK exports them. Pure: the registry's families in, data points out.

So each metric is moved in one place for all readers. Names are Prometheus' without ``_total``, which a collector adds
again; what a label calls empty is left out, as Prometheus does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

_CUMULATIVE = AggregationTemporality.CUMULATIVE


def points_of(families: Iterable[Family], begun: int, now: int) -> list[Metric]:
    """The families as metrics that count since ``begun``. Both times in epoch nanoseconds."""
    metrics = []
    for family in families:
        data = _data(family, begun, now)
        if data.data_points:
            metrics.append(Metric(family.name, family.documentation, "", data))
    return metrics


def _data(family: Family, begun: int, now: int) -> Sum | Gauge | Histogram:
    if family.type == "histogram":
        return Histogram(_histograms(family.samples, begun, now), _CUMULATIVE)
    points = [
        NumberDataPoint(_attributes(sample.labels), begun, now, sample.value)
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    return Sum(points, _CUMULATIVE, True) if family.type == "counter" else Gauge(points)


def _histograms(samples: Iterable[Sample], begun: int, now: int) -> list[HistogramDataPoint]:
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, int]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in samples:
        labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        if sample.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(sample.labels["le"]), int(sample.value)))
        elif sample.name.endswith("_sum"):
            sums[labels] = sample.value
    return [_histogram(dict(labels), found, sums.get(labels, 0.0), begun, now) for labels, found in buckets.items()]


def _histogram(
    labels: Mapping[str, str], buckets: list[tuple[float, int]], total: float, begun: int, now: int
) -> HistogramDataPoint:
    """Prometheus counts all values up to a bound, OpenTelemetry those between two."""
    bounds, below = zip(*buckets, strict=True)
    counts = [upper - lower for lower, upper in zip((0, *below), below, strict=False)]
    unknown: Any = None  # the least and the greatest value, which nobody kept
    return HistogramDataPoint(_attributes(labels), begun, now, below[-1], total, counts, bounds[:-1], unknown, unknown)


def _attributes(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}
