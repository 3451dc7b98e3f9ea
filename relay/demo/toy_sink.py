"""A toy sink in the place of Kafka or Redis: a list in memory, which loses replies and is away for a while.

It keeps the promise that a sink has to keep (``relay.core.sink``), a batch and its checkpoint in one step. What is
done to it shows that nothing is lost or repeated by what may happen to a broker.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from relay.core.sink import Batch, Checkpoint, Identity, Limits, Outcome, Published, SinkConfig, SinkUnavailable

AWAY_FROM: Final = 4
"""The batch, counted from 1, at which it goes away."""
AWAY_FOR: Final = 1.0
"""Seconds."""
LOSES_EVERY: Final = 5
"""Of so many batches it loses the reply to the last one."""


class Config(SinkConfig):
    """The toy has no settings."""

    type: Literal["toy"] = "toy"


@dataclass(frozen=True, slots=True)
class Account:
    """What the toy sink has of the journal's events, by their ids, and what was done to it."""

    events: int
    missing: tuple[str, ...]
    repeated: tuple[str, ...]
    in_order: bool
    lost_replies: int
    refused: int

    @property
    def good(self) -> bool:
        """Whether it has each event exactly once, in the order of the journal."""
        return self.in_order and not self.missing and not self.repeated


class ToySink:
    """A ``Sink``. Grows with each event, by its id only: for a demo, not for a day."""

    limits = Limits(events=8, bytes=1024 * 1024)

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._checkpoint: Checkpoint | None = None
        self._batches = self._lost = self._refused = 0
        self._back_at = 0.0
        self._news = asyncio.Event()

    def connect(self, config: SinkConfig, identity: Identity) -> ToySink:
        """As the module of a sink has it, so that the relay can be given this very one."""
        return self

    async def open(self) -> Checkpoint | None:
        self._refuse_while_away()
        return self._checkpoint

    async def publish(self, batch: Batch) -> Sequence[Outcome]:
        self._refuse_while_away()
        self._batches += 1
        if self._batches == AWAY_FROM:
            self._back_at = asyncio.get_running_loop().time() + AWAY_FOR
            self._refuse_while_away()
        self._ids += [entry.event.id for entry in batch.entries]
        self._checkpoint = batch.checkpoint
        self._news.set()
        if self._batches % LOSES_EVERY == 0:
            self._lost += 1
            raise SinkUnavailable("timeout", "The reply got lost.")
        return [Published()] * len(batch.entries)

    async def close(self) -> None:
        """Keeps what it has."""

    def _refuse_while_away(self) -> None:
        if asyncio.get_running_loop().time() < self._back_at:
            self._refused += 1
            raise SinkUnavailable("unreachable", "The toy sink is away.")

    async def reached(self, offset: int) -> None:
        """Returns when it has everything up to ``offset``; 0: at once."""
        while offset > (self._checkpoint.offset if self._checkpoint else 0):
            self._news.clear()
            await self._news.wait()

    def account(self, journal: Iterable[str]) -> Account:
        """Holds what it has against the ids of the events that the journal has, in their order."""
        expected, counts = list(journal), Counter(self._ids)
        return Account(
            events=len(self._ids),
            missing=tuple(id for id in expected if id not in counts),
            repeated=tuple(id for id, count in counts.items() if count > 1),
            in_order=list(counts) == [id for id in expected if id in counts],
            lost_replies=self._lost,
            refused=self._refused,
        )
