from __future__ import annotations

import asyncio
import time

import pytest

from relay.clocks import on_the_steady_clock, steady_ms, until, wall_ms
from tests.unit.virtual_time import virtually


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


def test_a_wait_ends_when_its_condition_holds_or_its_time_is_over() -> None:
    """Broken: a drain or an end would go on forever, or not wait at all."""

    async def waited(holds_after: float, timeout: float) -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await until(lambda: loop.time() - begun >= holds_after, timeout)
        return loop.time() - begun

    assert virtually(waited(0.0, 5.0)) == 0.0
    assert 1.0 <= virtually(waited(1.0, 5.0)) < 1.1
    assert 5.0 <= virtually(waited(9.0, 5.0)) < 5.1
    assert 9.0 <= virtually(waited(9.0, float("inf"))) < 9.1
