from __future__ import annotations

from relay.journal.queries import _QUERY
from relay.journal.store import Store
from tests.unit.drafts import dead_draft, draft


def test_entries_come_back_as_they_were_planned(store: Store) -> None:
    """Broken: a replica that reads its backlog from disk would not know which facts it holds."""
    planned = store.append([draft("a"), draft("b", says=""), dead_draft()], 1).entries
    assert store.read(0, 10, 1 << 20) == planned
    assert [len(entry.key) for entry in planned] == [16, 16, 16]


def test_the_few_addressed_events_are_found_without_reading_the_others(store: Store) -> None:
    """Each start would read every event that the journal holds: a second for each million of them."""
    plan = [row[3] for row in store._db.execute("EXPLAIN QUERY PLAN " + _QUERY["addressed"], (0,))]
    assert any("INDEX events_addressed" in step for step in plan), plan
    store.append([draft("a"), draft("b")._replace(sink="kafka")], 1)
    assert store.addressed(0) == [(2, "kafka")]


def test_picked_entries_are_those_that_are_asked_for_and_held(store: Store) -> None:
    """A story would hold somebody else's events, or be one answer of a gigabyte."""
    for name in "abcdef":
        store.append([draft(name, data=b'"%s"' % (name.encode() * 100))], 1)
    while store.merge_dedup():
        pass
    store.prune(floor=1, older_than=10, over_size=1 << 60, chunk=1)
    assert [entry.offset for entry in store.pick([5, 1, 3, 9], 1 << 20)] == [3, 5]
    assert [entry.offset for entry in store.pick([3, 4, 5], 250)] == [3, 4]
    assert [entry.offset for entry in store.pick([3, 4, 5], 1)] == [3]
