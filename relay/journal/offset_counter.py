"""How many events lie between two offsets, counted without reading them. Pure.

Offsets grow by one per event, except where a journal took a new identity and skipped some (see
``relay.core.publishing.lineage``); and few events are meant for one sink only. So counting is a subtraction and two
short lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relay.core.event import Entry
from relay.core.publishing.lineage import Fork

Addressed = tuple[int, str]
"""The offset of an event that is meant for one sink only, and that sink."""


class OffsetCounter:
    """Knows the gaps, and the addressed events that some sink has still to pass."""

    def __init__(self, forks: Iterable[Fork], addressed: Iterable[Addressed]) -> None:
        self._addressed = list(addressed)
        self.learn_gaps(forks)

    def learn_gaps(self, forks: Iterable[Fork]) -> None:
        """The journal has taken a new identity."""
        self._gaps = [(fork.gap_after, fork.gap_upto) for fork in forks if fork.gap_upto > fork.gap_after]

    def add(self, entries: Sequence[Entry]) -> None:
        """New entries, in order."""
        self._addressed += [(entry.offset, entry.sink) for entry in entries if entry.sink is not None]

    def forget(self, upto: int) -> None:
        """Nobody will count at or below ``upto`` any more."""
        while self._addressed and self._addressed[0][0] <= upto:
            del self._addressed[0]

    def events(self, after: int, upto: int) -> int:
        """Events with offsets in ``(after, upto]``, held or pruned, without those that a new identity skipped."""
        skipped = sum(max(0, min(upto, end) - max(after, start)) for start, end in self._gaps) if self._gaps else 0
        return upto - after - skipped

    def events_for(self, sink: str, after: int, upto: int) -> int:
        """Those of them that a sink is to get."""
        others = sum(1 for offset, only in self._addressed if after < offset <= upto and only != sink)
        return self.events(after, upto) - others
