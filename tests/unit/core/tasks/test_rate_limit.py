from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.core.tasks.rate_limit import RateLimit


def begun(limit: RateLimit, start: float, until: float, lateness: float = 0.0) -> list[float]:
    """When polls begin, if there is always one to be made; each timer fires ``lateness`` seconds late."""
    now, times = start, []
    while True:
        now = max(now, limit.ready_at() + lateness)
        if now >= until:
            return times
        limit.take(now)
        times.append(now)


@given(st.floats(0.1, 200), st.floats(0, 0.05), st.floats(0.5, 20))
def test_no_span_of_time_sees_more_than_the_rate_allows(rate: float, lateness: float, span: float) -> None:
    """The upstream's limit would be passed, and the account punished for it."""
    times = begun(RateLimit(rate), 100.0, 100.0 + min(40.0, 400 / rate), lateness)
    for first, time in enumerate(times):
        assert sum(1 for other in times[first:] if other < time + span) <= span * rate + 2.001


def test_late_timers_do_not_slow_it_down() -> None:
    """Each late timer would cost a part of the rate, and the tasks of an outage take twice as long."""
    times = begun(RateLimit(100), 0.0, 10.0, lateness=0.004)
    assert len(times) >= 995


def test_nothing_bursts_after_a_pause() -> None:
    """What an outage held up would reach the upstream all at once, when it has just come back."""
    limit = RateLimit(10)
    limit.take(0.0)
    assert limit.pause(0.0, 60.0)
    times = begun(limit, 0.05, 62.0)
    assert times[0] == 60.0
    assert len([time for time in times if time < 61.0]) <= 12


def test_failures_of_one_outage_count_once() -> None:
    """Eight polls that fail together would multiply the pause by two to the eighth."""
    limit = RateLimit(10)
    assert [limit.pause(now, 5.0) for now in (0.0, 0.1, 0.2)] == [True, False, False]
    assert limit.failures == 1
    assert limit.pause(5.5, 5.0)
    assert limit.failures == 2
    limit.succeeded()
    assert limit.failures == 0
