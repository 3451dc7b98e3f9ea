"""Metrics as OpenTelemetry's SDK exports them: relay's own, and those of its conventions for generative AI. Pure.

relay's own are the registry's, so that each is moved in one place for all readers. Names are Prometheus' without
``_total``, which a collector adds again; what a label calls empty is left out, as Prometheus does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

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

from relay.core.chat.events import ChatData
from relay.telemetry.gen_ai import metric_attributes, tokens_counted
from relay.telemetry.metrics import Series

MAX_SERIES: Final = 2000
"""Combinations of attributes that each metric of inferences keeps; further ones are counted as one, as by the SDK."""

SECONDS: Final = tuple(0.01 * 2**power for power in range(14))
"""The bounds that the conventions ask for: 0.01 to 81.92."""

_Key = tuple[tuple[str, Any], ...]

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_OVERFLOW: Final[_Key] = (("otel.metric.overflow", True),)
_UNKNOWN: Any = None  # the least and the greatest value, which nobody kept
_NAME: Final = "gen_ai.client.inference."


class InferenceFigures:
    """The metrics of the conventions for generative AI, ``gen_ai.client.inference.…``.

    Not by the SDK's own instruments: those cost 130 us a chat, ten times what all other metrics of it do.
    """

    def __init__(self) -> None:
        self._durations: dict[_Key, Series] = {}
        self._firsts: dict[_Key, Series] = {}
        self._tokens: defaultdict[str, dict[_Key, int]] = defaultdict(dict)

    def ended(self, asked: str | None, data: ChatData) -> None:
        """A chat has ended, for which the model ``asked`` was asked."""
        attributes, timings = metric_attributes(asked, data), data["timings"]
        if timings["duration_ms"] is not None:
            _series(self._durations, attributes).observe(timings["duration_ms"] / 1000)
        attributes.pop("error.type", None)
        if timings["first_byte_ms"] is not None and data["chunks"]:
            _series(self._firsts, attributes).observe(timings["first_byte_ms"] / 1000)
        attributes["gen_ai.token.modality"] = "unknown"
        for name, tokens in tokens_counted(data).items():
            counted = self._tokens[name]
            key = _key(counted, attributes)
            counted[key] = counted.get(key, 0) + tokens

    def points(self, begun: int, now: int) -> list[Metric]:
        """All of them, counted since ``begun``. Both times in epoch nanoseconds."""
        metrics = [
            Metric(
                _NAME + name,
                what,
                "s",
                Histogram([_observed(*item, begun, now) for item in found.items()], _CUMULATIVE),
            )
            for name, what, found in (
                ("duration", "From the request to the end of its answer.", self._durations),
                ("time_to_first_chunk", "From the request to the first piece of its answer.", self._firsts),
            )
            if found
        ]
        for name, counted in self._tokens.items():
            points = [NumberDataPoint(dict(key), begun, now, tokens) for key, tokens in counted.items()]
            metrics.append(Metric(f"{_NAME}usage.{name}", "Tokens used.", "{token}", Sum(points, _CUMULATIVE, True)))
        return metrics


def _key(found: Mapping[_Key, Any], attributes: Mapping[str, str]) -> _Key:
    key = tuple(attributes.items())
    return key if key in found or len(found) < MAX_SERIES else _OVERFLOW


def _series(found: dict[_Key, Series], attributes: Mapping[str, str]) -> Series:
    key = _key(found, attributes)
    if key not in found:
        found[key] = Series(SECONDS)
    return found[key]


def _observed(key: _Key, series: Series, begun: int, now: int) -> HistogramDataPoint:
    return HistogramDataPoint(
        dict(key), begun, now, sum(series.counts), series.total, list(series.counts), SECONDS, _UNKNOWN, _UNKNOWN
    )


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
    return HistogramDataPoint(
        _attributes(labels), begun, now, below[-1], total, counts, bounds[:-1], _UNKNOWN, _UNKNOWN
    )


def _attributes(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}
