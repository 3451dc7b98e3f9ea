"""Counting events by their offsets alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.core.event import Entry
from relay.core.publishing.lineage import Fork
from relay.journal.offset_counter import OffsetCounter
from tests.unit.drafts import draft

EVENT = draft().event


@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.sampled_from([None, "a", "b"])), max_size=8),
    after=st.integers(0, 60),
    span=st.integers(0, 60),
)
def test_counting_by_offsets_is_counting_the_events(
    steps: list[tuple[int, int, str | None]], after: int, span: int
) -> None:
    """The balance would be computed from numbers that are not those of the events."""
    entries: list[Entry] = []
    forks: list[Fork] = []
    last = 0
    for events, skipped, sink in steps:
        new = [Entry(last + n, 0, EVENT, sink) for n in range(1, events + 1)]
        entries += new
        last += events
        forks.append(Fork("j", last, last, last + skipped))
        last += skipped
    counter = OffsetCounter(forks, [])
    counter.add(entries)
    upto = min(after + span, last)
    held = [entry for entry in entries if after < entry.offset <= upto]
    if after <= upto:
        assert counter.events(after, upto) == len(held)
        assert counter.events_for("a", after, upto) == sum(1 for entry in held if entry.sink in (None, "a"))


def test_what_nobody_counts_any_more_is_forgotten() -> None:
    """The list of replays would grow for as long as the relay runs."""
    counter = OffsetCounter([], [(3, "a"), (5, "a")])
    counter.forget(3)
    assert (counter.events_for("b", 3, 6), counter.events_for("b", 0, 6)) == (2, 5)
