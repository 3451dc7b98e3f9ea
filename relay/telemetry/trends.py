"""What the process did in the last hour, minute by minute, for people without a Prometheus.

It reads the metrics that there are, so that what moves them pays nothing for it. It begins and ends with the process.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from relay.clocks import wall_ms
from relay.telemetry.metrics import SECONDS, Metrics
from relay.telemetry.signals.deliveries import RESULTS

LOOK_EVERY: Final = 10.0
"""Seconds between two looks at how many events wait, and the least that a point spans once there are two."""
LOOKS_PER_POINT: Final = 6
POINTS: Final = 60
"""So many points are kept: an hour of them."""

_COUNTED: Final = {
    "events": ("relay_events", "type", None),
    "deliveries": ("relay_deliveries", "result", RESULTS),
    "tasks": ("relay_events", "type", ("relay.task.succeeded", "relay.task.failed", "relay.task.abandoned")),
    "chats": ("relay_events", "type", ("relay.chat.completed", "relay.chat.failed", "relay.chat.cancelled")),
    "tokens": ("relay_chat_tokens", "kind", ("input", "output")),
}
"""By name: a counter, one of its labels, and the values of it that are counted each; ``None``: all as one."""
_TIMED: Final = {"ack_seconds": "relay_webhook_ack_seconds", "first_token_seconds": "relay_chat_first_token_seconds"}
_SHARES: Final = {"p50": 0.5, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in the ``seconds`` before ``at`` (epoch milliseconds).

    ``counts`` by name and value, ``times`` (seconds, estimated; ``None`` where there was nothing) by name and share;
    ``pending`` is the most events that one sink had not received at any look.
    """

    at: int
    seconds: float
    counts: dict[str, dict[str, int]]
    times: dict[str, dict[str, float | None]]
    pending: int


@dataclass(frozen=True, slots=True)
class _Reading:
    """All counters and buckets at one time, in one row; ``pending`` is the most since the reading before."""

    at: int
    steady: float
    row: array[int]
    pending: int


class Trends:
    """The last hour of one process; begins as it is made. Used from the event loop only."""

    def __init__(self, metrics: Metrics, *, now: Callable[[], float] = time.monotonic) -> None:
        self._metrics, self._now = metrics, now
        self._pending: Callable[[], int] = lambda: 0
        self._most = 0
        self._readings = deque([self._read()], maxlen=POINTS + 1)

    async def run(self, pending: Callable[[], int]) -> None:
        """Looks and remembers, for as long as it runs. ``pending``: the most events that one sink has not received."""
        self._pending = pending
        while True:
            for _ in range(LOOKS_PER_POINT):
                await asyncio.sleep(LOOK_EVERY)
                self.look()
            self.keep()

    def look(self) -> None:
        """Notes how many events wait."""
        self._most = max(self._most, self._pending())

    def keep(self) -> None:
        """Ends the current point."""
        self._readings.append(self._read())
        self._most = 0

    def points(self) -> tuple[list[Point], Point]:
        """The points, the oldest first, the last one up to now; and one over all of them."""
        self.look()
        readings, now = list(self._readings), self._read()
        if len(readings) > 1 and now.steady - readings[-1].steady < LOOK_EVERY:
            # A moment with one event in it would look like a peak.
            short = readings.pop()
            now = _Reading(now.at, now.steady, now.row, max(now.pending, short.pending))
        readings.append(now)
        return [_between(*pair) for pair in pairwise(readings)], _between(readings[0], now, *readings[1:-1])

    def _read(self) -> _Reading:
        row = array("q")
        for name, label, values in _COUNTED.values():
            found = self._metrics.counts(name, label)
            row.extend([sum(found.values())] if values is None else [found.get(value, 0) for value in values])
        for name in _TIMED.values():
            row.extend(self._metrics.buckets(name) or [0] * (len(SECONDS) + 1))
        return _Reading(wall_ms(), self._now(), row, self._most)


def _between(before: _Reading, after: _Reading, *amid: _Reading) -> Point:
    more = iter([now - then for then, now in zip(before.row, after.row, strict=True)])
    counts = {
        name: {value.rpartition(".")[2]: next(more) for value in values or ("all",)}
        for name, (_, _, values) in _COUNTED.items()
    }
    times: dict[str, dict[str, float | None]] = {}
    for name in _TIMED:
        buckets = [next(more) for _ in range(len(SECONDS) + 1)]
        times[name] = {share: quantile(SECONDS, buckets, part) for share, part in _SHARES.items()}
    pending = max(reading.pending for reading in (after, *amid))
    return Point(after.at, round(after.steady - before.steady, 3), counts, times, pending)


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The value below which a ``share`` (0 to 1) of all observations lies; ``None`` without any. Pure.

    ``counts`` has one number per bound, and one for what is beyond the last. Within a bucket values are taken as evenly
    spread, as by Prometheus's ``histogram_quantile``; what is beyond the last bound counts as that bound.
    """
    rank = share * sum(counts)
    if not rank:
        return None
    lower, seen = 0.0, 0
    for bound, count in zip(bounds, counts, strict=False):
        if count and seen + count >= rank:
            return lower + (bound - lower) * (rank - seen) / count
        lower, seen = bound, seen + count
    return bounds[-1]
