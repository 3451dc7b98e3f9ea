"""Histograms that are cheap to observe."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""Buckets for durations."""


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

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Names only, without touching the series."""
        return [HistogramMetricFamily(self._name, self._documentation)]


class Series:
    """The observations under one label value."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus has them: each with the count of all values up to its bound."""
        seen = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            seen += count
            buckets.append((bound, float(seen)))
        return buckets
