"""The registry of metrics, and histograms that are cheap to observe."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

M = TypeVar("M", bound=Collector)

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series beside each counter, which no dashboard reads

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of ``Metrics.exposition``."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""Buckets for durations."""


OTHER = "other"
"""The label of values that have none of their own, because there are too many."""


class LabelValues:
    """The values that one label takes: at most so many, the first ones, and ``OTHER``. Nobody else bounds them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: set[str] = set()

    def of(self, value: str) -> str:
        """The value itself, or ``OTHER``."""
        if value not in self._values:
            if len(self._values) >= self._most:
                return OTHER
            self._values.add(value)
        return value


class Metrics:
    """The metrics of one process. Each is declared by the signals that move it, and is the same one if declared again.

    Names and labels are contract. No label takes unbounded values: no task ids, URLs or tokens.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._declared: dict[str, Collector] = {}

    def counter(self, name: str, documentation: str, *labels: str) -> Counter:
        """A counter; its series is ``name`` with ``_total`` behind it."""
        return self._once(name, lambda: Counter(name, documentation, labels, registry=self.registry))

    def gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return self._once(name, lambda: Gauge(name, documentation, labels, registry=self.registry))

    def histogram(self, name: str, documentation: str, bounds: Sequence[float], label: str | None = None) -> Histogram:
        """A histogram; ``bounds`` are the upper ends of its buckets."""
        return self._once(name, lambda: self._registered(Histogram(name, documentation, bounds, label)))

    def counts(self, name: str, label: str) -> dict[str, int]:
        """A counter's values by one of its labels, summed over the others; nothing where no part has declared it."""
        found: dict[str, int] = {}
        for family in self._declared[name].collect() if name in self._declared else ():
            for sample in family.samples:
                found[sample.labels[label]] = found.get(sample.labels[label], 0) + int(sample.value)
        return found

    def buckets(self, name: str) -> list[int]:
        """How many values fell into each bucket of a histogram; nothing where no part has declared it."""
        histogram = self._declared.get(name)
        return histogram.counts() if isinstance(histogram, Histogram) else []

    def exposition(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)

    def _once(self, name: str, declare: Callable[[], M]) -> M:
        if name not in self._declared:
            self._declared[name] = declare()
        return cast(M, self._declared[name])

    def _registered(self, histogram: Histogram) -> Histogram:
        self.registry.register(histogram)
        return histogram


class Histogram(Collector):
    """A histogram with at most one label that takes many observations at once.

    ``prometheus_client`` takes a lock and walks the buckets for each single observation; at thousands of events a
    second that is a measurable part of what an event costs. Used from the event loop only, so it needs no lock.
    """

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], label: str | None = None) -> None:
        self._name, self._documentation, self._bounds, self._label = name, documentation, bounds, label
        self._series: dict[str, Series] = {}

    def series(self, value: str = "") -> Series:
        """The series of one label value; keep it, so that observing is one call."""
        return self._series.setdefault(value, Series(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The scrape's view: cumulative buckets."""
        labels = [self._label] if self._label else []
        family = HistogramMetricFamily(self._name, self._documentation, labels=labels)
        for value, series in self._series.items():
            family.add_metric([value] if self._label else [], series.cumulative(), series.total)
        yield family

    def counts(self) -> list[int]:
        """How many values fell into each bucket and beyond the last one, under all label values together."""
        return [sum(each) for each in zip(*(one.counts for one in self._series.values()), strict=True)]


class Series:
    """The observations under one label value."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus has them: each with the count of all values up to its bound."""
        seen = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self.counts, strict=True):
            seen += count
            buckets.append((bound, float(seen)))
        return buckets
