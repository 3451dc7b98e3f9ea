"""The archive of outputs, as one relay runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from relay.archive.archiver import Archiver, Pace
from relay.archive.errors import StoreError
from relay.archive.fetch import Limits
from relay.archive.fetch import Source as Origin
from relay.archive.links import Links
from relay.archive.store import store_at
from relay.clocks import wall_ms
from relay.core.archive.address import Hosts
from relay.core.source import Source
from relay.core.tasks.reconcile import PollAnswer, Unanswered
from relay.journal.journal import Journal
from relay.journal.projections.outputs import Outputs
from relay.settings import Settings
from relay.telemetry.signals.outputs import OutputSignals

CARE: Final = "outputs care"
"""Name of the background task that never ends by itself."""
_PRUNE_EVERY: Final = 60.0


class Archive:
    """``poll`` asks the upstream for a task, ``source`` reads its answers. Raises ``RelayError`` for a store that
    cannot work."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        poll: Callable[[str], Awaitable[PollAnswer | Unanswered]],
        source: Source,
        signals: OutputSignals,
    ) -> None:
        chosen = settings.archive
        assert chosen.url is not None, "archive.url is what turns it on"
        self._signals, self._retention = signals, settings.journal.retention
        self._outputs = journal.projection(Outputs)
        self._outputs.table.archiving = True
        self._origin = Origin(Hosts.of(chosen.allow_hosts), Limits(size=chosen.max_size, total=chosen.timeout))
        self._store = store_at(chosen.url, chosen.store_options)
        pace = Pace(chosen.concurrency, chosen.max_rate, chosen.max_bandwidth, chosen.give_up_after)
        links = Links(poll, source)
        self.archiver = Archiver(journal, self._origin, self._store, links, signals, key=chosen.key, pace=pace)

    def start(self) -> list[asyncio.Task[None]]:
        """What runs in the background."""
        return [
            asyncio.create_task(self._run(), name="archiver"),
            asyncio.create_task(self._forget_ended(), name=CARE),
        ]

    def reconfigure(self, settings: Settings) -> None:
        """Goes on with other credentials of the store."""
        self._store.reconfigure(settings.archive.store_options)

    async def update_gauges(self) -> None:
        count, nearest = await self._outputs.query(Outputs.waiting)
        self._signals.looked_at(count, None if nearest is None else (nearest - wall_ms()) / 1000)

    async def _run(self) -> None:
        try:
            await self._check()
            await self.archiver.run()
        finally:
            await self._origin.close()
            self._store.close()

    async def _check(self) -> None:
        """Says at the start what is wrong with the store, and removes what a process that was killed left there."""
        try:
            await self._store.check()
        except StoreError as error:
            self._signals.store_failed(error.code, error.message, error.hint, 0.0)

    async def _forget_ended(self) -> None:
        """Forgets outputs that ended longer ago than the journal remembers."""
        while True:
            await asyncio.sleep(_PRUNE_EVERY)
            await self._outputs.forget(Outputs.expire, wall_ms() - round(self._retention * 1000))
