"""Maintains an open journal: merges keys, prunes, keeps the history, sweeps, makes room on a full disk, and reports
whether it can go on.

All of it in steps too small to delay a commit, each queued behind the commits that came meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from relay.clocks import wall_ms
from relay.core.errors import RelayError
from relay.journal.errors import DISK_FULL, JournalBroken, JournalUnavailable
from relay.journal.event_log import EventLog
from relay.journal.sink_progress import SinkProgress
from relay.journal.store import Store
from relay.journal.writer import Writer
from relay.telemetry.signals.journal import JournalSignals

_EVERY = 1.0
_ROOM_EVERY = 0.25  # between two looks at a disk that is full
_MERGE_EVERY = 60.0
PRUNE_PAUSE = 0.02
"""Seconds between two chunks of what is removed: commits go first."""
_SWEEP_EVERY = 60.0
_SWEEP_SELDOM = 3600.0
_SWEEPS = 100  # per window: a fact is forgotten by a hundredth of the window, or an hour, too late
_SWEEP_STEPS = 25  # of 2,000 keys each, between two looks


@dataclass(frozen=True, slots=True)
class Policy:
    """What the journal keeps and accepts.

    ``retention``, ``dead_letter_retention`` and ``dedup_window`` in seconds, ``max_size`` in bytes, ``max_backlog`` in
    events that some sink has not got yet: see ``SinkProgress.backlog``.
    """

    retention: float = 7 * 86400
    dead_letter_retention: float = 30 * 86400
    max_size: int = 10 << 30
    dedup_window: float = 7 * 86400
    max_backlog: int = 1_000_000


class Condition:
    """Whether a journal can go on, by what its disk has said. ``size``: bytes of pages in use, as of the last look."""

    def __init__(self, size: int, signals: JournalSignals) -> None:
        self.size = size
        self.broken: asyncio.Future[JournalBroken] = asyncio.get_running_loop().create_future()
        self.full: JournalUnavailable | None = None
        """What a disk without room said, until a commit has shown otherwise."""
        self._signals = signals

    def failed(self, error: RelayError) -> None:
        """What a commit or maintenance met: a disk that is full takes nothing until maintenance has made room."""
        if isinstance(error, JournalUnavailable):
            if error.code == DISK_FULL and self.full is None:
                self.full = error
                self._signals.journal_ran_full(error)
        elif isinstance(error, JournalBroken) and not self.broken.done():
            self.broken.set_result(error)
            self._signals.journal_broke(error)

    def has_room(self) -> None:
        """A commit has shown that the disk is not full any more."""
        self.full = None
        self._signals.journal_has_room()


class Maintenance:
    """Of one journal, for as long as ``run`` runs."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        policy: Policy,
        condition: Condition,
        events: EventLog,
        progress: SinkProgress,
        signals: JournalSignals,
    ) -> None:
        self._store, self._writer, self._policy, self._condition = store, writer, policy, condition
        self._events, self._progress, self._signals = events, progress, signals
        self._merge_at = self._sweep_at = 0.0
        self._sweep_every = max(_SWEEP_EVERY, min(policy.dedup_window / _SWEEPS, _SWEEP_SELDOM))
        self._swept = store.swept  # where the next sweep goes on

    async def run(self) -> None:
        """For as long as the journal lives. A full disk keeps none of it from being tried again."""
        self._merge_at, self._sweep_at = time.monotonic() + _MERGE_EVERY, time.monotonic() + _SWEEP_EVERY
        with suppress(JournalUnavailable):
            await self._writer.call(self._store.hold_reserve)
        while True:
            await asyncio.sleep(_EVERY if self._condition.full is None else _ROOM_EVERY)
            if self._condition.full is not None:
                await self._regain_room()
            for step in (self._merge_when_due, self._prune, self.write_what_waits, self._sweep_when_due):
                with suppress(JournalUnavailable):
                    await step()

    async def _regain_room(self) -> None:
        """One try to make room on a full disk; the last step proves that there is some, and deliveries are taken."""
        tidy = partial(self._writer.call, self._store.make_room)
        for step in (tidy, self._merge, tidy, self._prune, self._sweep, tidy):
            with suppress(JournalUnavailable):
                await step()
        with suppress(JournalUnavailable):
            await self._writer.call(self._store.regain_room)
            self._condition.has_room()

    async def _merge_when_due(self) -> None:
        if self._store.merge_is_due() or time.monotonic() >= self._merge_at:
            await self._merge()
            self._merge_at = time.monotonic() + _MERGE_EVERY

    async def write_what_waits(self) -> None:
        """Writes down what became of the events. Raises ``JournalUnavailable`` on a full disk."""
        await self._writer.call(self._store.write_what_waits, wall_ms())

    async def _sweep_when_due(self) -> None:
        if time.monotonic() >= self._sweep_at:
            await self._sweep()
            self._sweep_at = time.monotonic() + (0.0 if self._swept else self._sweep_every)

    async def _sweep(self) -> None:
        """Some steps of a sweep; what they leave is for the next look, so that the rest has its turn."""
        older_than = wall_ms() - int(self._policy.dedup_window * 1000)
        for _ in range(_SWEEP_STEPS):
            self._swept = await self._writer.call(self._store.sweep_dedup, self._swept, older_than=older_than)
            if not self._swept:
                return
            await asyncio.sleep(PRUNE_PAUSE)

    async def _merge(self) -> None:
        while await self._writer.call(self._store.merge_dedup):
            pass  # each step queues behind the commits that came meanwhile

    async def _prune(self) -> None:
        while await self._prune_dead_letters() + await self._prune_events():  # noqa: ASYNC110 - commits go first
            await asyncio.sleep(PRUNE_PAUSE)

    async def _prune_events(self) -> int:
        older_than, over_size = wall_ms() - round(self._policy.retention * 1000), self._policy.max_size
        pruned = await self._writer.call(
            self._store.prune, floor=self._progress.floor(), older_than=older_than, over_size=over_size
        )
        self._condition.size = await self._writer.call(self._store.size)
        if pruned:
            self._events.pruned(await self._writer.call(self._store.oldest_offset))
            self._signals.journal_pruned(pruned)
        return pruned

    async def _prune_dead_letters(self) -> int:
        older_than, over_size = wall_ms() - round(self._policy.dead_letter_retention * 1000), self._policy.max_size
        expired, cause = await self._writer.call(
            self._store.prune_dead_letters, floor=self._progress.floor(), older_than=older_than, over_size=over_size
        )
        if expired:
            self._signals.dead_letters_expired(expired, cause)
        return expired
