"""The registry of tasks and its reconciler, as one relay runs them."""

from __future__ import annotations

import asyncio
from typing import Final

from relay.clocks import steady_ms, wall_ms
from relay.core.source import Source
from relay.core.tasks.events import first_expiry
from relay.core.tasks.reconcile import Timing
from relay.journal.journal import Journal
from relay.journal.projections.task_addresses import Addresses
from relay.journal.projections.tasks import PENDING, Tasks
from relay.reconciler.poll import TaskResults
from relay.reconciler.reconciler import Reconciler, forget_ended
from relay.settings import Settings
from relay.telemetry.signals.tasks import TaskSignals
from relay.upstream import Upstream

CARE: Final = "registry care"
"""Name of the background task that never ends by itself."""

EXPIRES_SOON: Final = 15 * 60
"""Seconds; outputs whose event a sink gets later than that before their end can hardly be fetched any more."""
_SCANNED: Final = 1000  # of a sink's pending events, per scrape


class TaskReconciliation:
    """Keeps the registry in any case; ``reconcile.enabled`` says whether tasks are polled for.

    ``source`` reads what a poll answers, progress included.
    """

    def __init__(
        self, settings: Settings, journal: Journal, upstream: Upstream, source: Source, signals: TaskSignals
    ) -> None:
        chosen = settings.reconcile
        timing = Timing(chosen.first_after, chosen.every, chosen.give_up_after, chosen.unknown_timeout)
        self._events, self._progress, self._signals = journal.events, journal.progress, signals
        self._addresses = journal.projection(Addresses)
        self._retention, self._address_life = settings.journal.retention, settings.address_life
        self._sinks = [config.label for config in settings.sinks]
        self._tasks = journal.projection(Tasks)
        self._tasks.table.timing = timing
        self._results = self.poll = TaskResults(upstream, settings.upstream_key)
        self._enabled = chosen.enabled
        self.reconciler = Reconciler(
            journal,
            source,
            self._results,
            signals,
            timing,
            rate=chosen.max_rate,
            concurrency=chosen.concurrency,
            publish_progress=settings.tasks.progressed,
        )

    def start(self) -> list[asyncio.Task[None]]:
        forgetting = forget_ended(self._tasks, self._addresses, self._retention, self._address_life)
        started = [asyncio.create_task(forgetting, name=CARE)]
        if self._enabled:
            started.append(asyncio.create_task(self.reconciler.run(), name="reconciler"))
        return started

    def reconfigure(self, settings: Settings) -> None:
        """Polls with another key of the upstream's."""
        self._results.authorize(settings.upstream_key)

    async def update_gauges(self) -> None:
        counts = await self._tasks.query(Tasks.counts)
        overdue = await self._tasks.query(Tasks.overdue, steady_ms())
        self._signals.tasks_looked_at(pending=sum(counts[state] for state in PENDING), overdue=overdue)
        for label in self._sinks:
            self._signals.outputs_looked_at(label, await self._outputs_expiring(label))

    async def _outputs_expiring(self, sink: str) -> int:
        """Events with outputs that are about to expire, among the oldest that a sink has not got yet.

        What came first expires first, as a rule, so the oldest one shows whether it is high time.
        """
        soon = wall_ms() + EXPIRES_SOON * 1000
        entries = await self._events.read(self._progress.position(sink), _SCANNED)
        expiries = (first_expiry(entry.event) for entry in entries if entry.sink in (None, sink))
        return sum(expiry is not None and expiry <= soon for expiry in expiries)
