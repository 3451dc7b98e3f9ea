"""How the process itself is: its event loop, its clock, the disk under its journal, its memory and descriptors."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import ProcessCollector

from relay.telemetry.telemetry import Telemetry

MEASURE_EVERY = 0.25
"""Seconds between two measurements of the event loop."""


class HealthSignals:
    """Gauges that say whether this process can do its work; not what it did."""

    def __init__(self, telemetry: Telemetry) -> None:
        metrics = telemetry.metrics
        ProcessCollector(registry=metrics.registry)
        self._delay = metrics.gauge("relay_event_loop_delay_seconds", "Longest event loop delay since the last scrape.")
        self._free = metrics.gauge("relay_journal_disk_free_bytes", "Free bytes on the journal's disk.")
        # Compared with the time of the scrape this is the clock's error; webhooks' signatures depend on it.
        metrics.gauge("relay_time_seconds", "relay's clock, in epoch seconds.").set_function(time.time)
        self._longest = 0.0

    async def watch_the_loop(self) -> None:
        """Measures, for as long as it runs, how late the event loop wakes sleepers."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + MEASURE_EVERY
            await asyncio.sleep(MEASURE_EVERY)
            self._longest = max(self._longest, loop.time() - due)

    def looked_at(self, disk_free_bytes: int | None) -> None:
        """A scrape is being answered. ``None``: the disk does not say."""
        self._delay.set(self._longest)
        self._longest = 0.0
        if disk_free_bytes is not None:
            self._free.set(disk_free_bytes)
