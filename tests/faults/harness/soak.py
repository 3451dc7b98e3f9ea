"""What a soak measures: how memory, descriptors and files develop, as slopes that a few outliers do not move."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.harness.trial import usage_of

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the process and its files. ``at`` in seconds (monotonic), sizes in bytes."""

    at: float
    rss: float
    descriptors: float
    journal: float
    wal: float


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure may grow by in a minute, and what it may reach at most."""

    slope: float
    most: float


BOUNDS: Final = {
    "rss": Bound(1.0 * MIB, 256 * MIB),
    "descriptors": Bound(1.0, 400),
    "journal": Bound(1.0 * MIB, 512 * MIB),
    "wal": Bound(1.0 * MIB, 80 * MIB),
}
"""The log is kept under 64 MiB and may exceed that by the commit under way."""


def sample(pid: int, journal: Path) -> Sample:
    """Raises ``OSError`` when the process is gone."""
    usage = usage_of(pid)
    log = journal.with_name(journal.name + "-wal")
    return Sample(
        time.monotonic(),
        usage.rss,
        usage.descriptors,
        journal.stat().st_size,
        log.stat().st_size if log.exists() else 0,
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Growth per minute: the median of the slopes between points that lie half the span apart (Theil and Sen).

    ``points``: seconds and values, in order; fewer than four have no slope.
    """
    half = len(points) // 2
    if half < 2:
        return 0.0
    pairs = zip(points[:-half], points[half:], strict=True)
    return statistics.median([(b - a) / (t - s) * 60 for (s, a), (t, b) in pairs])


def findings(samples: Sequence[Sample]) -> list[str]:
    """Each figure that is out of bounds. Pass what was seen after the warm-up, of one process."""
    wrong = []
    for name, bound in BOUNDS.items():
        points = [(each.at, float(getattr(each, name))) for each in samples]
        grows, most = slope(points), max(value for _, value in points)
        if grows > bound.slope or most > bound.most:
            wrong.append(f"{name} grows by {grows:,.0f} a minute (at most {bound.slope:,.0f}), {most:,.0f} at most")
    return wrong


def described(samples: Sequence[Sample]) -> str:
    """The slopes and the highest values, for the report."""
    told = []
    for name in BOUNDS:
        points = [(each.at, float(getattr(each, name))) for each in samples]
        told.append(f"{name} {slope(points):+,.0f} a minute, {max(value for _, value in points):,.0f} at most")
    return "; ".join(told)
