from __future__ import annotations

import time

import pytest

from relay.clocks import on_the_steady_clock, steady_ms, wall_ms


def test_the_steady_clock_goes_on_when_the_wall_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a clock that is set by two hours makes every poll due at once, or none for two hours."""
    before, now = steady_ms(), time.time_ns()
    assert abs(before - wall_ms()) < 60_000
    monkeypatch.setattr(time, "time_ns", lambda: now + 7200 * 10**9)
    assert wall_ms() - before > 7_000_000
    assert 0 <= steady_ms() - before < 60_000
    assert 0 <= on_the_steady_clock(wall_ms()) - before < 60_000


def test_while_nobody_sets_them_the_clocks_are_one() -> None:
    """Broken: what the registry notes would differ by a millisecond from the event that it notes."""
    assert on_the_steady_clock(1_700_000_000_000) == 1_700_000_000_000
