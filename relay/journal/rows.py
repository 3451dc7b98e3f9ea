"""Turns the journal's rows into relay's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from relay.core.event import Entry, Receipt


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sink got since the last save: its offset now, and by how much each count grew on the way.

    What lies up to ``catch_up_to`` is history: it was accepted before the sink was there, or the sink has lost it.
    """

    offset: int = 0
    published: int = 0
    dead: int = 0
    absorbed: int = 0
    passed: int = 0
    catch_up_to: int = 0

    def then(self, later: Progress) -> Self:
        """Both together."""
        return type(self)(
            later.offset,
            self.published + later.published,
            self.dead + later.dead,
            self.absorbed + later.absorbed,
            self.passed + later.passed,
            max(self.catch_up_to, later.catch_up_to),
        )


@dataclass(frozen=True, slots=True)
class SavedCheckpoint(Progress):
    """The journal's copy of a sink's checkpoint, and where the offsets up to it went since the journal began.

    ``passed`` are those of no event, of events for another sink, and of events that were pruned before this sink
    was there, or lost by it and pruned; so ``offset == published + dead + absorbed + passed``, or something is wrong.
    """

    @property
    def accepted(self) -> int:
        """Events up to the checkpoint that are this sink's, counted by offsets alone."""
        return self.offset - self.passed


@dataclass(frozen=True, slots=True)
class Appended:
    """The receipts of a group, one per draft, and the entries it added, in order."""

    receipts: list[Receipt]
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a sink has shown of itself: everything up to ``offset`` is settled there, as far as it can be.

    ``dead`` and ``absorbed`` are those of its own checkpoint, ``None`` where it cannot tell. The last ``missing``
    offsets are neither on the sink nor held; ``empty``: nothing of this journal is on it.
    """

    offset: int
    dead: int | None = 0
    absorbed: int | None = 0
    missing: int = 0
    empty: bool = False


def recounted(saved: SavedCheckpoint, shown: Shown, held: int, gone: int) -> tuple[Progress, int]:
    """The way from the counts that were saved to those that hold, and how many of the counted events are lost.

    ``held``: this sink's events between the two offsets; ``gone``: those among the missing that had been counted. What
    is lost is not published any more and will not come again: it leaves the counts.
    """
    between = abs(shown.offset - saved.offset)
    sign = 1 if shown.offset > saved.offset else -1
    dead = 0 if shown.dead is None else shown.dead - saved.dead
    absorbed = 0 if shown.absorbed is None else shown.absorbed - saved.absorbed
    published = sign * held - dead - absorbed
    lost = saved.published + published if shown.empty else max(0, gone)
    passed = sign * (between - held) + lost
    history = saved.offset if shown.offset < saved.offset else 0
    return Progress(shown.offset, published - lost, dead, absorbed, passed, history), lost
