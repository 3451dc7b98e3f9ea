"""The last hour of a process."""

from __future__ import annotations

import pytest

from relay.core.event import Entry
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from relay.telemetry.trends import LOOK_EVERY, POINTS, Trends, quantile
from tests.unit.drafts import draft

MINUTE = 60.0


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def delivered(telemetry: Telemetry, *seconds: float) -> None:
    """A delivery with each of these times to its answer."""
    signals = DeliverySignals(telemetry, "novita")
    for each in seconds:
        signals.delivery_answered("accepted", each)


def test_a_point_holds_what_happened_in_its_minute(clock: Clock) -> None:
    """The charts would show totals, or put a failure where it did not happen."""
    telemetry = Telemetry()
    trends = Trends(telemetry.metrics, now=clock)
    delivered(telemetry, 0.004, 0.004)
    JournalSignals(telemetry).group_committed([Entry(1, 0, draft("t1").event)], 1, 0.002)
    clock.now += MINUTE
    trends.keep()
    delivered(telemetry, 0.2)
    DeliverySignals(telemetry, "novita").delivery_rejected("unauthorized", 401, "192.0.2.1")
    clock.now += MINUTE / 2
    (first, second), total = trends.points()
    assert (first.seconds, second.seconds, total.seconds) == (60.0, 30.0, 90.0)
    results = [point.counts["deliveries"] for point in (first, second, total)]
    assert [(each["accepted"], each["rejected"]) for each in results] == [(2, 0), (1, 1), (3, 1)]
    assert [point.counts["events"]["all"] for point in (first, second, total)] == [1, 0, 1]
    assert first.counts["tasks"] == {"succeeded": 1, "failed": 0, "abandoned": 0}
    assert first.times["ack_seconds"]["p99"] < 0.005 < 0.1 < second.times["ack_seconds"]["p50"]  # type: ignore[operator]
    assert first.times["first_token_seconds"] == {"p50": None, "p99": None}


def test_a_process_that_has_just_begun_has_a_point_already(clock: Clock) -> None:
    """Who opens the console right after the start would see nothing for a minute."""
    telemetry = Telemetry()
    trends = Trends(telemetry.metrics, now=clock)
    delivered(telemetry, 0.004)
    clock.now += 0.5
    (only,), total = trends.points()
    assert only == total
    assert only.counts["deliveries"]["accepted"] == 1


def test_no_point_is_so_short_that_one_event_looks_like_a_peak(clock: Clock) -> None:
    """Whenever a minute ends, a single event would be drawn as hundreds per second."""
    trends = Trends(Telemetry().metrics, now=clock)
    for _ in range(2):
        clock.now += MINUTE
        trends.keep()
    clock.now += LOOK_EVERY / 2
    points, _ = trends.points()
    assert [point.seconds for point in points] == [60.0, 65.0]
    clock.now += LOOK_EVERY / 2
    points, _ = trends.points()
    assert [point.seconds for point in points] == [60.0, 60.0, 10.0]


def test_an_hour_is_kept_and_no_more(clock: Clock) -> None:
    """A relay that runs for a year would need the memory of a year."""
    telemetry = Telemetry()
    trends = Trends(telemetry.metrics, now=clock)
    for _ in range(3 * POINTS):
        delivered(telemetry, 0.004)
        clock.now += MINUTE
        trends.keep()
    points, total = trends.points()
    assert (len(points), total.seconds) == (POINTS, POINTS * MINUTE)
    assert total.counts["deliveries"]["accepted"] == POINTS


def test_a_backlog_is_shown_at_its_highest(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that was late for half a minute would never have been."""
    trends = Trends(Telemetry().metrics, now=clock)
    for waiting in (3, 8, 1):
        monkeypatch.setattr(trends, "_pending", lambda waiting=waiting: waiting)
        trends.look()
    clock.now += MINUTE
    trends.keep()
    monkeypatch.setattr(trends, "_pending", lambda: 0)
    clock.now += MINUTE
    (first, second), total = trends.points()
    assert (first.pending, second.pending, total.pending) == (8, 0, 8)


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ((0, 0, 0), 0.5, None),
        ((4, 0, 0), 0.5, 0.5),
        ((0, 4, 0), 0.5, 2.0),
        ((0, 4, 0), 1.0, 3.0),
        ((2, 2, 0), 0.5, 1.0),
        ((2, 2, 0), 0.75, 2.0),
        ((0, 0, 4), 0.5, 3.0),
    ],
)
def test_quantiles_are_those_of_prometheus(counts: tuple[int, ...], share: float, value: float | None) -> None:
    """The console and a dashboard would show different figures for the same hour."""
    assert quantile((1.0, 3.0), counts, share) == value
