"""The wall clock for facts, which may be set, a monotonic one for durations, and a wait for what nobody signals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def wall_ms() -> int:
    """Epoch milliseconds, as shown to others. May jump, in both directions."""
    return time.time_ns() // 1_000_000


def _passed() -> int:
    # Linux's CLOCK_MONOTONIC stands still while the machine sleeps; tasks go on meanwhile.
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


_SET = 1000  # milliseconds: what lies below is no clock that was set, but two that are read one after the other
_AHEAD = wall_ms() - _passed()


def steady_ms() -> int:
    """Milliseconds that nobody sets: the wall clock's as the process began, and since then as many as have passed.

    What is due and overdue goes by this clock: otherwise setting the wall clock would make all of it due, or none.
    """
    return _AHEAD + _passed()


def on_the_steady_clock(wall: int) -> int:
    """An instant that was just read from the wall clock. The two are one until somebody sets the wall clock."""
    apart = steady_ms() - wall_ms()
    return wall + apart if abs(apart) >= _SET else wall


_TICK = 0.02  # seconds; about what a batch takes


async def until(condition: Callable[[], bool], timeout: float = float("inf")) -> None:
    """Returns when a condition holds that nobody signals, or after ``timeout`` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not condition() and loop.time() < deadline:  # noqa: ASYNC110 - each part would have to signal
        await asyncio.sleep(_TICK)
