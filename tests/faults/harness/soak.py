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
_ESTABLISHED: Final = "01"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the process and its files. ``at`` in seconds (monotonic), sizes in bytes.

    ``descriptors`` are those that the relay holds by itself: how many connections peers keep open to it is up to their
    pools. One that a peer has closed counts, since then it is the relay that keeps it.
    """

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


def sample(pid: int, journal: Path, *ports: int) -> Sample:
    """``ports``: where the relay listens. Raises ``OSError`` when the process is gone."""
    usage = usage_of(pid)
    log = journal.with_name(journal.name + "-wal")
    return Sample(
        time.monotonic(),
        usage.rss,
        usage.descriptors - _kept_by_peers(pid, ports),
        journal.stat().st_size,
        log.stat().st_size if log.exists() else 0,
    )


def _kept_by_peers(pid: int, ports: Sequence[int]) -> int:
    """Established connections to these ports, by the kernel's table (proc(5), ``/proc/net/tcp``)."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    local = {f"{port:04X}" for port in ports}
    return sum(row[3] == _ESTABLISHED and row[1].rpartition(":")[2] in local for row in rows)


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
    said = []
    for name in BOUNDS:
        points = [(each.at, float(getattr(each, name))) for each in samples]
        said.append(f"{name} {slope(points):+,.0f} a minute, {max(value for _, value in points):,.0f} at most")
    return "; ".join(said)
