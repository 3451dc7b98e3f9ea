"""Where to resume on a sink, given the checkpoint that it holds. Pure.

Offsets of one journal say nothing about another. A journal gets a new id when its volume was lost (another file), when
a sink shows that the file is an older copy of itself, and when the relay's identity or a sink's label changes, which
may mean that this is a clone of a journal which is still in use: then offsets have been, or could be, given out twice,
and the sink's checkpoint counts only up to where the two are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from relay.core.sink import MAX_EARLIER, Checkpoint, Inheritance, Name


@dataclass(frozen=True, slots=True)
class Fork:
    """An id that the journal had before, and the last offset that both share.

    The offsets in ``(gap_after, gap_upto]`` were skipped when it took a new one: no event has them. ``published`` is,
    per sink, how far this journal itself had published under the old id by then: a checkpoint up to there is ours,
    although it lies beyond what is shared. ``identity`` and ``sinks`` (label and type) are the names under which it
    published; empty where they have not changed since.
    """

    journal_id: str
    offset: int
    gap_after: int = 0
    gap_upto: int = 0
    published: Mapping[str, int] = field(default_factory=dict)
    identity: str = ""
    sinks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Names:
    """What a relay publishes under: its identity, and the label and type of each sink."""

    identity: str = ""
    sinks: Mapping[str, str] = field(default_factory=dict)

    def changed_since(self, before: Names) -> bool:
        """Whether a checkpoint may be kept under another name than the present one."""
        return self.identity != before.identity or any(self.relabelled(before))

    def relabelled(self, before: Names) -> Iterator[tuple[str, str]]:
        """Labels of before that are gone, each with a new one of its type."""
        for new, kind in self.sinks.items():
            if new not in before.sinks:
                yield from ((old, new) for old, of in before.sinks.items() if of == kind and old not in self.sinks)

    def before(self, label: str, now: Names) -> Iterator[Name]:
        """Under what these names kept the checkpoint of the sink that has this label now."""
        if label in self.sinks:
            yield Name(self.identity, label)
            return
        yield from (Name(self.identity, old) for old, new in now.relabelled(self) if new == label)


MAX_FORKS = 64


def bounded(forks: Sequence[Fork]) -> list[Fork]:
    """The first one, which names the origin, those that skipped offsets, and the latest."""
    recent = len(forks) - MAX_FORKS
    return [fork for place, fork in enumerate(forks) if place == 0 or place > recent or fork.gap_upto > fork.gap_after]


@dataclass(frozen=True, slots=True)
class Lineage:
    """What the journal knows of itself.

    ``opened_at`` is its last offset as the file was opened, ``first_offset`` the oldest event still held,
    ``last_offset`` the newest one now. ``names`` are the present ones.
    """

    journal_id: str
    forks: Sequence[Fork]
    opened_at: int
    first_offset: int
    last_offset: int = 0
    names: Names = field(default_factory=Names)

    @property
    def origin(self) -> str:
        """The id that the journal began with: the same for all that descend from it."""
        return self.forks[0].journal_id if self.forks else self.journal_id

    def inheritances(self, held: Checkpoint | None, label: str) -> Iterator[tuple[Name, Inheritance]]:
        """Where a sink's place may be kept under a former name, the latest first.

        Ends where the present name knows: at this journal itself, or at one that it was before.
        """
        if held is not None and held.of(self.journal_id):
            return
        names = self.names
        for fork in reversed(self.forks):
            names = Names(fork.identity, fork.sinks) if fork.identity else names
            for name in names.before(label, self.names):
                if name != Name(self.names.identity, label):
                    upto = max(fork.offset, fork.published.get(name.label, 0))
                    yield name, Inheritance(fork.journal_id, upto, self.journal_id)
                elif held is not None and held.of(fork.journal_id):
                    return


@dataclass(frozen=True, slots=True)
class Resume:
    """Publish everything after this offset.

    ``finding`` says what was found beside it; ``missing`` counts events that the sink has not got and that the
    journal does not hold any more, as far as its checkpoint shows; ``empty``: it has none of this journal, and what it
    is missing only the journal's own counts tell. ``dead`` and ``absorbed`` are what the sink's checkpoint counts up to
    ``after``; ``None``: it cannot tell for that place, and the journal's own counts stand.
    """

    after: int
    finding: Literal["usual", "older_copy", "other_journal"] = "usual"
    missing: int = 0
    dead: int | None = 0
    absorbed: int | None = 0
    empty: bool = False


def resume(held: Checkpoint | None, lineage: Lineage, sink: str, attempted: int) -> Resume:
    """Decides for one sink. ``attempted`` is the highest offset that this process has tried to publish there under the
    present identity; it says nothing of a checkpoint that names an earlier one.

    A checkpoint of this journal beyond both what the file held when it was opened and what this process has
    published since can only come from a later state of the same journal: the file is an older copy.
    """
    if held is None:
        return Resume(lineage.first_offset - 1, empty=True)
    own = held.of(lineage.journal_id)
    if own is not None:
        known = lineage.last_offset if own.handed_over else 0
        if own.offset > max(lineage.opened_at, attempted, known):
            return _clamped(own, lineage.opened_at, lineage, "older_copy")
        return _clamped(own, own.offset, lineage, "usual")
    for fork in reversed(lineage.forks):
        place = held.of(fork.journal_id)
        if place is not None:
            ours = max(fork.offset, fork.published.get(sink, 0))
            return _clamped(place, min(place.offset, ours), lineage, "usual")
    return Resume(lineage.first_offset - 1, "other_journal", empty=True)


def _clamped(held: Checkpoint, after: int, lineage: Lineage, finding: Literal["usual", "older_copy"]) -> Resume:
    oldest = lineage.first_offset - 1
    dead, absorbed = (held.dead, held.absorbed) if after == held.offset else (None, None)
    return Resume(max(after, oldest), finding, max(0, oldest - after), dead, absorbed)


def earlier(held: Checkpoint | None, journal_id: str) -> tuple[Checkpoint, ...]:
    """What the next checkpoint of this journal has to remember of others: see ``Checkpoint.earlier``."""
    if held is None:
        return ()
    places = [
        each for each in (replace(held, earlier=(), handed_over=False), *held.earlier) if each.journal_id != journal_id
    ]
    return tuple(places[:MAX_EARLIER])


def succession(held: Checkpoint, place: Checkpoint, inheritance: Inheritance, own: Checkpoint | None) -> Succession:
    """What ``Renamable.take_over`` writes. ``held`` is the checkpoint under the former name, ``place`` what it knows of
    the former journal, ``own`` the checkpoint under the present name."""
    heir, upto = inheritance.heir, inheritance.upto
    if place.offset >= upto:
        # All that both have is published, and perhaps more, of which the former counts speak, too.
        exact = place.offset == upto
        dead, absorbed = (place.dead, place.absorbed) if exact else (inheritance.dead, inheritance.absorbed)
        return Succession(Checkpoint(heir, upto, dead, absorbed, earlier(own, heir)), None)
    mine = Checkpoint(heir, place.offset, place.dead, place.absorbed, earlier(own, heir))
    moved = replace(place, offset=upto, handed_over=True, earlier=())
    if place.journal_id == held.journal_id:
        return Succession(mine, replace(moved, earlier=held.earlier))
    others = tuple(moved if each.journal_id == moved.journal_id else each for each in held.earlier)
    return Succession(mine, replace(held, earlier=others))


@dataclass(frozen=True, slots=True)
class Succession:
    """Two checkpoints that are written in one step: the heir's, and the former one where it changes."""

    heir: Checkpoint
    former: Checkpoint | None
