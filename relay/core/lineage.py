"""Where to go on with a sink, given the checkpoint that it holds. Pure.

Offsets of one journal say nothing about another. A journal gets a new identity when its volume was lost (another
file) and when a sink shows that the file is an older copy of itself: then offsets have been, or could be, given out
twice, and the sink's checkpoint counts only up to where the two copies are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from relay.core.sink import Checkpoint


@dataclass(frozen=True, slots=True)
class Fork:
    """An identity that the journal had before, and the last offset that both share.

    The offsets in ``(gap_after, gap_upto]`` were skipped when it took a new one: no event has them. ``published`` is,
    per sink, how far this journal itself had published under the old identity by then: a checkpoint up to there is
    ours, although it lies beyond what is shared.
    """

    journal_id: str
    offset: int
    gap_after: int = 0
    gap_upto: int = 0
    published: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lineage:
    """What the journal knows of itself.

    ``opened_at`` is its last offset as the file was opened, ``first_offset`` the oldest event still held.
    """

    journal_id: str
    forks: Sequence[Fork]
    opened_at: int
    first_offset: int

    @property
    def origin(self) -> str:
        """The identity that the journal began with: the same for all that descend from it."""
        return self.forks[0].journal_id if self.forks else self.journal_id


@dataclass(frozen=True, slots=True)
class Resume:
    """Publish everything after this offset.

    ``finding`` says what was found beside it; ``missing`` counts events that the sink has not got and that the
    journal does not hold any more. ``dead`` and ``absorbed`` are what the sink's checkpoint counts up to ``after``;
    ``None``: it cannot tell for that place, and the journal's own counts stand.
    """

    after: int
    finding: Literal["usual", "older_copy", "other_journal"] = "usual"
    missing: int = 0
    dead: int | None = 0
    absorbed: int | None = 0


def resume(held: Checkpoint | None, lineage: Lineage, sink: str, attempted: int) -> Resume:
    """Decides for one sink. ``attempted`` is the highest offset that this process has tried to publish there under the
    present identity; it says nothing of a checkpoint that names an earlier one.

    A checkpoint of this journal beyond both what the file held when it was opened and what this process has
    published since can only come from a later state of the same journal: the file is an older copy.
    """
    if held is None:
        return Resume(lineage.first_offset - 1)
    if held.journal_id == lineage.journal_id:
        if held.offset > max(lineage.opened_at, attempted):
            return _clamped(held, lineage.opened_at, lineage, "older_copy")
        return _clamped(held, held.offset, lineage, "usual")
    for fork in lineage.forks:
        if held.journal_id == fork.journal_id:
            ours = max(fork.offset, fork.published.get(sink, 0))
            return _clamped(held, min(held.offset, ours), lineage, "usual")
    return Resume(lineage.first_offset - 1, "other_journal")


def _clamped(held: Checkpoint, after: int, lineage: Lineage, finding: Literal["usual", "older_copy"]) -> Resume:
    oldest = lineage.first_offset - 1
    dead, absorbed = (held.dead, held.absorbed) if after == held.offset else (None, None)
    return Resume(max(after, oldest), finding, max(0, oldest - after), dead, absorbed)
