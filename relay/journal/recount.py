"""The counts of a sink after it has shown where it really is. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from relay.journal.rows import Progress, SavedCheckpoint


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
