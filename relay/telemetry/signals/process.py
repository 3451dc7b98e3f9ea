"""Signals about the process: its start, its configuration, its end, and its health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from prometheus_client import ProcessCollector

from relay import __version__
from relay.core.errors import RelayError
from relay.telemetry.telemetry import Telemetry

MEASURE_EVERY = 0.25
"""Seconds between two measurements of the event loop."""


class ProcessSignals:
    def __init__(self, telemetry: Telemetry) -> None:
        self._log, metrics = telemetry.log, telemetry.metrics
        self._up = metrics.gauge("relay_up", "1 while the relay accepts deliveries.")
        self._draining = metrics.gauge(
            "relay_draining", "1 while relay drains, has drained, or shuts down: nothing should be sent there."
        )
        self._reloaded = metrics.gauge(
            "relay_config_last_reload_successful",
            "1 if the last reload of the configuration succeeded, 0 if it was refused.",
        )
        self._reloaded.set(1)
        self._late: Sequence[str] = ()
        metrics.gauge("relay_build_info", "Constant 1.", "version").labels(__version__).set(1)

    def accepting(self, yes: bool) -> None:
        """Readiness changed."""
        self._up.set(1 if yes else 0)

    def warned(self, message: str) -> None:
        """Something in the configuration is worth a second look."""
        self._log.warning(message)

    def started(self, **facts: object) -> None:
        """Everything is up."""
        self._log.info("relay started", version=__version__, **facts)

    def reread(self, late: Sequence[str] = ()) -> None:
        """The configuration as written can be in force, but for files of secrets that did not answer."""
        self._reloaded.set(0 if late else 1)
        if late and late != self._late:
            self._log.error("secret files cannot be read, the previous secrets stay in force", files=list(late))
        self._late = late

    def reloaded(self, changed: Sequence[str], waiting: Sequence[str]) -> None:
        """The configuration as read is in force, except for what waits for a restart. Keys only, no values."""
        self._log.info("configuration reloaded", changed=list(changed))
        if waiting:
            self._log.warning("changes need a restart", keys=list(waiting))

    def reload_refused(self, problems: str) -> None:
        """The changed configuration is not valid: the old one stays in force."""
        self._reloaded.set(0)
        self._log.error("configuration not reloaded, the previous one stays in force", problems=problems)

    def certificates_reloaded(self, changed: Sequence[str]) -> None:
        """New connections show, or trust, what is in the files of these settings now."""
        self._log.info("certificates reloaded", changed=list(changed))

    def certificates_refused(self, problems: str) -> None:
        """The changed files of a certificate cannot be used: the old one stays."""
        self._reloaded.set(0)
        self._log.error("certificates not reloaded, the previous ones stay in force", problems=problems)

    def draining(self, reason: str) -> None:
        """What was accepted is published; before long no new work is taken."""
        self._draining.set(1)
        self._log.info("draining", reason=reason)

    def drained(self) -> None:
        """Nothing more is taken, and every sink has everything."""
        self._log.info("drained")

    def drain_cancelled(self) -> None:
        """All is taken again."""
        self._draining.set(0)
        self._log.info("drain cancelled")

    def stopped(self, unpublished: Mapping[str, int]) -> None:
        """Everything is down, in order. ``unpublished``: events that wait in the journal, by sink."""
        left = {sink: events for sink, events in unpublished.items() if events}
        if left:
            self._log.warning("relay stopped", unpublished=left)
        else:
            self._log.info("relay stopped")

    def failed(self, error: RelayError) -> None:
        """The process ends because of this."""
        self._log.critical("relay failed", code=error.code, error=error.message, hint=error.hint)

    def task_failed(self, where: str, error: BaseException) -> None:
        """An exception that nobody awaited."""
        self._log.error("background failure", where=where, error=type(error).__name__, exc_info=error)


class HealthSignals:
    """Gauges of its event loop, its clock, the disk under its journal, its memory and descriptors; not what it did."""

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
