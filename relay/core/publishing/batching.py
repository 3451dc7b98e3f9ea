"""How much a sink gets at once. Pure: the publisher measures, and obeys.

A batch that a slow link cannot carry within the sink's time would be tried at the same size forever. So each batch in
doubt halves what the next one may hold, and quick ones let it grow back to the sink's limits. A single event cannot be
halved: it is given twice the time, up to what it takes over the slowest link that the relay supports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from relay.core.sink import Limits

SLOWEST_LINK = 64 * 1024
"""Bytes per second with which a sink must be reached, for the largest events to get through."""

_QUICK = 0.25
"""The share of the sink's time that a batch takes at most before a larger one is tried: twice as much takes half."""


def longest(usual: float, size: int) -> float:
    """Seconds that a sink may take for a single event of ``size`` bytes; ``usual`` for any other batch."""
    return max(usual, size / SLOWEST_LINK)


@dataclass(frozen=True, slots=True)
class Batching:
    """What the next batch may hold, in events and in bytes of ``data``, and the seconds that it is given.

    ``most`` are the sink's limits: of events and bytes there are never more, of seconds never fewer.
    """

    most: Limits
    events: int
    bytes: int
    seconds: float

    @classmethod
    def of(cls, most: Limits) -> Self:
        """Begin with what the sink takes."""
        return cls(most, most.events, most.bytes, most.seconds)

    @property
    def is_usual(self) -> bool:
        """Whether it is what the sink takes, so that a success changes nothing."""
        return Limits(self.events, self.bytes, self.seconds) == self.most

    def in_doubt(self, events: int, size: int) -> Self:
        """What became of a batch of so many events and bytes is unknown: half of it next time."""
        seconds = self.seconds if events > 1 else min(2 * self.seconds, longest(self.most.seconds, size))
        return replace(self, events=max(1, events // 2), bytes=max(1, min(size // 2, self.bytes)), seconds=seconds)

    def split_to(self, events: int) -> Self:
        """One of them is refused, and it is to be found."""
        return replace(self, events=events)

    def published(self, events: int, size: int, seconds: float) -> Self:
        """A batch got through in so many seconds. A limit that it came near is doubled if that was quick.

        One that it did not come near stays: that few small events got through says nothing about many, nor about
        large ones.
        """
        grown = replace(self, seconds=self.most.seconds)
        if seconds > self.most.seconds * _QUICK:
            return grown
        if events * 2 >= self.events:
            grown = replace(grown, events=min(self.most.events, self.events * 2))
        if size * 2 >= self.bytes:
            grown = replace(grown, bytes=min(self.most.bytes, self.bytes * 2))
        return grown
