from __future__ import annotations

import asyncio
import time

from relay.telemetry.signals.health import HealthSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.readings import values


def reading(telemetry: Telemetry, name: str) -> float:
    (value,) = values(telemetry, name).values()
    return value


async def test_a_blocked_event_loop_shows_at_the_next_scrape_and_is_then_forgotten() -> None:
    """Whatever blocks the loop delays every acknowledgement, and nobody would see what it was."""
    telemetry = Telemetry()
    health = HealthSignals(telemetry)
    watching = asyncio.create_task(health.watch_the_loop())
    await asyncio.sleep(0)  # it goes to sleep
    time.sleep(0.6)  # noqa: ASYNC251 - this is the fault
    await asyncio.sleep(0.01)
    health.looked_at(None)
    assert reading(telemetry, "relay_event_loop_delay_seconds") >= 0.3
    health.looked_at(None)
    assert reading(telemetry, "relay_event_loop_delay_seconds") < 0.3
    watching.cancel()


def test_clock_disk_and_memory_are_reported() -> None:
    """A wrong clock, a disk that fills up or a leak would first show as an outage."""
    telemetry = Telemetry()
    health = HealthSignals(telemetry)
    health.looked_at(12345)
    assert reading(telemetry, "relay_journal_disk_free_bytes") == 12345
    assert abs(reading(telemetry, "relay_time_seconds") - time.time()) < 5
    assert reading(telemetry, "process_resident_memory_bytes") > 1 << 20
    assert reading(telemetry, "process_open_fds") > 0
