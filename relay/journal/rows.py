"""What the journal's rows are to the rest of the relay."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.event import Entry, Receipt


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """The journal's copy of a sink's checkpoint, and where the offsets up to it went since the journal began.

    ``passed`` are those of no event, of events for another sink, and of events that were pruned before this sink
    was there, or lost by it and pruned; so ``offset == published + dead + absorbed + passed``, or something is wrong.

    What lies up to ``catch_up_to`` is history: it was accepted before the sink was there, or the sink has lost it.
    """

    offset: int = 0
    published: int = 0
    dead: int = 0
    absorbed: int = 0
    passed: int = 0
    catch_up_to: int = 0

    @property
    def accepted(self) -> int:
        """Events up to the checkpoint that are this sink's, counted by offsets alone."""
        return self.offset - self.passed

    def then(self, progress: Progress) -> SavedCheckpoint:
        """As it is after that progress."""
        return SavedCheckpoint(
            progress.offset,
            self.published + progress.published,
            self.dead + progress.dead,
            self.absorbed + progress.absorbed,
            self.passed + progress.passed,
            max(self.catch_up_to, progress.catch_up_to),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sink got since the last save: its offset now, and by how much each count grew on the way."""

    offset: int
    published: int
    dead: int
    absorbed: int = 0
    passed: int = 0
    catch_up_to: int = 0

    def then(self, later: Progress) -> Progress:
        """Both together."""
        return Progress(
            later.offset,
            self.published + later.published,
            self.dead + later.dead,
            self.absorbed + later.absorbed,
            self.passed + later.passed,
            max(self.catch_up_to, later.catch_up_to),
        )


@dataclass(frozen=True, slots=True)
class Appended:
    """The receipts of a group, one per draft, and the entries it added, in order."""

    receipts: list[Receipt]
    entries: list[Entry]
