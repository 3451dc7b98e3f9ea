"""What the outcomes of a batch mean. Pure: the publisher obeys.

A sink takes a batch whole or not at all, so there are three cases: everything is published; some events are refused
for good and the rest has to go again without them; or one of several is refused and the sink cannot tell which, so
the batch has to get smaller until the culprit is alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.core.event import Entry
from relay.core.sink import Absorbed, Outcome, Published, Refused, Withheld


@dataclass(frozen=True, slots=True)
class Advance:
    """All of it is on the sink: the checkpoint has moved. The ``absorbed`` offsets were there already."""

    absorbed: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ToDeadLetters:
    """These are refused for good: keep each as a dead letter, then publish the rest of the batch without them."""

    refused: tuple[tuple[Entry, Refused], ...]


@dataclass(frozen=True, slots=True)
class SplitBatch:
    """One of several is refused: publish at most this many next, until it stands alone."""

    events: int


Decision = Advance | ToDeadLetters | SplitBatch
_ALL_PUBLISHED = frozenset({Published})


def settle(entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Decision:
    """Decides on one batch.

    Raises ``ValueError`` where a sink breaks its contract (outcomes missing, a part published, nobody refused):
    going on after that could lose events.
    """
    if len(entries) != len(outcomes):
        raise ValueError(f"a sink answered {len(outcomes)} outcomes for {len(entries)} events")
    if _ALL_PUBLISHED.issuperset(map(type, outcomes)):  # nearly always, and thousands at a time
        return Advance()
    absorbed = frozenset(e.offset for e, o in zip(entries, outcomes, strict=True) if isinstance(o, Absorbed))
    published = len(absorbed) + sum(1 for outcome in outcomes if isinstance(outcome, Published))
    if published == len(entries):
        return Advance(absorbed)
    if published:
        raise ValueError("a sink published a part of a batch")
    refused = tuple((e, o) for e, o in zip(entries, outcomes, strict=True) if isinstance(o, Refused))
    if refused:
        return ToDeadLetters(refused)
    suspects = [(e, o) for e, o in zip(entries, outcomes, strict=True) if isinstance(o, Withheld) and o.suspect]
    if len(suspects) == 1:
        entry, outcome = suspects[0]
        return ToDeadLetters(((entry, Refused(outcome.code or "refused", outcome.detail)),))
    if len(entries) == 1:
        raise ValueError("a sink withheld a lone event without refusing it")
    return SplitBatch(len(entries) // 2)
