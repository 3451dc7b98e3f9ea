"""A publisher's claims in the shared index, bounded in time whatever the index does.

While the index is away events are published unverified: a repetition that another replica has accepted, too, may then
be published by both. What was published meanwhile is confirmed to the index when it is back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from relay.core.event import Entry
from relay.core.publishing.claims import Fact, IndexUnavailable, Share, SharedIndex, facts_of, share_out
from relay.telemetry.signals.claims import ClaimSignals

PAUSE = 5.0
"""Seconds without another try after the index has failed: a batch in between does not wait for it."""

MAX_OWED = 100_000
"""Facts (about 25 MB) that are kept for an index that is away; the oldest go first."""

OWED_STEP = 5_000


class Claims:
    """The claims of one publisher; used by one task."""

    def __init__(self, index: SharedIndex, signals: ClaimSignals, clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._signals = signals
        self._clock = clock
        self._quiet_until = 0.0
        self._memory = ""
        self._owed: list[Fact] = []
        self._verified: frozenset[int] = frozenset()

    async def share(self, entries: Sequence[Entry]) -> Share:
        """Claims what a batch holds; all of it is ours, unverified, while the index is away."""
        facts = facts_of(entries)
        self._verified = frozenset()
        if not facts or self._clock() < self._quiet_until:
            return Share(tuple(entries))
        try:
            await self._settle_debts()
            verdicts, memory = await self._index.claim(facts)
        except IndexUnavailable as error:
            self._lost(error)
            return Share(tuple(entries))
        self._remember(memory)
        self._verified = frozenset(fact.offset for fact in facts[: len(verdicts)])
        return share_out(entries, facts, verdicts)

    async def confirm_batch(self, entries: Sequence[Entry], absorbed: int) -> None:
        """These are on the sink, or kept as dead letters; ``absorbed`` others of their batch are another replica's."""
        facts = facts_of(entries)
        unverified = sum(1 for fact in facts if fact.offset not in self._verified)
        self._signals.facts_settled(verified=len(facts) - unverified, unverified=unverified, absorbed=absorbed)
        await self.confirm(facts)

    async def confirm(self, facts: Sequence[Fact], *, again: bool = False) -> None:
        """Confirms to the index what is on the sink; ``again``: found there on opening, some of it absorbed once."""
        if not facts:
            return
        if self._clock() < self._quiet_until:
            self._owe(facts)
            return
        try:
            strangers = await self._index.confirm(facts)
        except IndexUnavailable as error:
            self._lost(error)
            self._owe(facts)
            return
        if strangers and not again:
            self._signals.claims_overrun(strangers)

    async def release(self, facts: Sequence[Fact]) -> None:
        """Lets others have what is certainly not on the sink."""
        if not facts or self._clock() < self._quiet_until:
            return
        try:
            await self._index.release(facts)
        except IndexUnavailable as error:
            self._lost(error)

    async def close(self) -> None:
        await self._index.close()

    async def _settle_debts(self) -> None:
        """Others must hear of what is published already before they are asked about what is not."""
        while self._owed:
            await self._index.confirm(self._owed[:OWED_STEP])
            del self._owed[:OWED_STEP]

    def _owe(self, facts: Sequence[Fact]) -> None:
        self._owed += facts
        if len(self._owed) > MAX_OWED:
            self._signals.facts_forgotten(len(self._owed) - MAX_OWED)
            del self._owed[:-MAX_OWED]

    def _lost(self, error: IndexUnavailable) -> None:
        self._quiet_until = self._clock() + PAUSE
        self._signals.index_lost(error)

    def _remember(self, memory: str) -> None:
        self._signals.index_answered()
        if self._memory and memory != self._memory:
            self._signals.index_emptied()
        self._memory = memory
