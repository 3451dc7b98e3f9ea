from __future__ import annotations

import pytest

from relay.core.event_filter import EventFilter
from relay.journal import queries
from relay.journal.errors import JournalBroken
from relay.journal.queries import _QUERY
from relay.journal.store import Store
from tests.unit.drafts import dead_draft, draft


def test_entries_come_back_as_they_were_planned(store: Store) -> None:
    """Broken: a replica that reads its backlog from disk would not know which facts it holds."""
    planned = store.append([draft("a"), draft("b", says=""), dead_draft()], 1).entries
    assert store.read(0, 10, 1 << 20) == planned
    assert [len(entry.key) for entry in planned] == [16, 16, 16]


def test_entries_come_in_order_whichever_way_sqlite_goes_through_them(store: Store) -> None:
    """P3 broken: with another SQLite, which owes no order to a page, a sink would get events in another order."""
    planned = store.append([draft(name) for name in "abc"], 1).entries
    store._db.execute("PRAGMA reverse_unordered_selects = ON")
    assert store.read(0, 10, 1 << 20) == planned
    assert store.pick([1, 2, 3], 1 << 20) == planned


def test_bytes_that_are_no_text_come_back_as_they_were(store: Store) -> None:
    """Broken: a page, which joins the bytes of its events as text, would end at a zero or be refused as damaged."""
    keys = (b"\0" * 16, b"\xff\xfe" * 8, b"\xc3" * 15 + b"\0")
    drafts = [draft(f"t{n}")._replace(key=key, fingerprint=key[n:]) for n, key in enumerate(keys)]
    drafts.append(draft("none", data=b"")._replace(fingerprint=b""))
    planned = store.append(drafts, 1).entries
    assert store.read(0, 10, 1 << 20) == planned
    assert store.pick([4, 2, 1], 1 << 20) == [planned[0], planned[1], planned[3]]


def test_the_few_addressed_events_are_found_without_reading_the_others(store: Store) -> None:
    """Each start would read every event that the journal holds: a second for each million of them."""
    plan = [row[3] for row in store._db.execute("EXPLAIN QUERY PLAN " + _QUERY["addressed"], (0,))]
    assert any("INDEX events_addressed" in step for step in plan), plan
    store.append([draft("a"), draft("b")._replace(sink="kafka")], 1)
    assert store.addressed(0) == [(2, "kafka")]


def test_picked_entries_are_those_that_are_asked_for_and_held(store: Store) -> None:
    """A timeline would hold somebody else's events, or be one answer of a gigabyte."""
    for name in "abcdef":
        store.append([draft(name, data=b'"%s"' % (name.encode() * 100))], 1)
    while store.merge_dedup():
        pass
    store.prune(floor=1, older_than=10, over_size=1 << 60, chunk=1)
    assert [entry.offset for entry in store.pick([5, 1, 3, 9], 1 << 20)] == [3, 5]
    assert [entry.offset for entry in store.pick([3, 4, 5], 250)] == [3, 4]
    assert [entry.offset for entry in store.pick([3, 4, 5], 1)] == [3]


def test_the_newest_come_first_and_are_those_that_are_wanted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that begins with the newest would leave events out, or read the whole journal for one page."""
    for name in "abcdef":
        store.append([draft(name), draft("x" + name)._replace(sink="kafka"), dead_draft(name)], 1)

    def newest(
        before: int, wanted: EventFilter, first: int = 0, limit: int = 100, max_bytes: int = 1 << 20
    ) -> tuple[list[int], int | None]:
        entries, following = store.newest(before, wanted, first, limit, max_bytes)
        return [entry.offset for entry in entries], following

    tasks = EventFilter(topics=["tasks"])
    assert newest(19, tasks) == ([16, 13, 10, 7, 4, 1], None)
    assert newest(19, tasks, limit=2) == ([16, 13], 13)
    assert newest(13, tasks, limit=9) == ([10, 7, 4, 1], None)
    assert newest(13, tasks, first=5) == ([10, 7], None)
    assert newest(19, EventFilter(types=["relay.delivery.dead"]), first=15) == ([18, 15], None)
    assert newest(19, EventFilter(subject="c")) == ([9, 7], None)
    assert newest(19, tasks, max_bytes=1) == ([16], 16)
    assert newest(1, tasks) == ([], None)
    monkeypatch.setattr(queries, "SCAN", 4)
    assert newest(19, tasks) == ([16], 15)
    assert newest(19, EventFilter(subject="a")) == ([], 15)
    assert newest(3, tasks) == ([1], None)


def test_a_gap_in_the_offsets_is_stepped_over_backwards(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a sink knew more of the journal than it holds, older events would be out of reach, or asked for in vain."""
    monkeypatch.setattr(queries, "SCAN", 4)
    store.append([draft(str(n)) for n in range(3)], 1)
    store.fork(3, 1000)
    store.append([draft("late")], 1)
    assert store.newest(1002, EventFilter(), 0, 9, 1 << 20)[1] == 4
    assert [entry.offset for entry in store.newest(4, EventFilter(), 0, 9, 1 << 20).entries] == [3, 2, 1]
    assert store.newest(1002, EventFilter(), 4, 9, 1 << 20)[1] is None, "none of the range is left"
    assert store.subjects("late", 1002, 9) == ([("late", "task")], 4)


def test_the_newest_are_looked_for_no_further_than_needed(store: Store) -> None:
    """The first page of a list would look through fifty thousand events to show a hundred."""
    for n in range(100):
        store.append([draft(f"{n}-{each}") for each in range(20)], 1)

    def steps(wanted: EventFilter) -> int:
        taken = 0

        def count() -> int:
            nonlocal taken
            taken += 1
            return 0

        store._db.set_progress_handler(count, 10)
        store.newest(2001, wanted, 0, 20, 1 << 20)
        store._db.set_progress_handler(None, 0)
        return taken

    assert steps(EventFilter(types=("relay.task.succeeded",))) * 5 < steps(EventFilter(subject="none"))


def test_the_newest_of_large_events_are_not_cut_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a page of large events, the oldest would be left out and never be shown."""
    monkeypatch.setattr(queries, "_MOST_LARGE", 3)
    store.append([draft(str(n), data=b'"%s"' % (b"x" * 20_000)) for n in range(8)], 1)
    entries, following = store.newest(9, EventFilter(), 0, 100, 1 << 20)
    assert ([entry.offset for entry in entries], following) == ([8, 7, 6], 6)


def test_digests_are_values_out_of_the_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list would have to read whole events, megabytes of text among them, to show a line of each."""
    paths = ("$.a", "$.b.c")
    for n, data in enumerate((b'{"a":1,"b":{"c":"\\u0000\xc3\xa4"}}', b'{"a":null}', b"[2]", b'{"a":{"x":1}}')):
        store.append([draft(str(n), data=data), dead_draft(f"dead{n}")], 7 + n)

    def digests(before: int, limit: int = 100) -> tuple[list[tuple[int, int, object]], int | None]:
        found, following = store.digests(before, EventFilter(("tasks",)), 0, paths, limit)
        assert {each.type for each in found} <= {"relay.task.succeeded"}
        assert all(each.subject == str(each.offset // 2) for each in found)
        return [(each.offset, each.accepted_at, each.values) for each in found], following

    last, third, second, first = (
        (7, 10, [{"x": 1}, None]),
        (5, 9, [None, None]),
        (3, 8, [None, None]),
        (1, 7, [1, "\x00ä"]),
    )
    assert digests(99) == ([last, third, second, first], None)
    assert digests(7, limit=2) == ([third, second], 3)
    assert digests(1) == ([], None)
    monkeypatch.setattr(queries, "DIGESTED_BYTES", 20)
    assert digests(6) == ([third, second], 3)
    monkeypatch.setattr(queries, "MOST_DIGESTS", 1)
    assert digests(6) == ([third], 5)


def test_what_is_kept_of_a_stretch_leaves_nothing_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sorted list would miss what came, show what was pruned, or read fifty thousand rows for each of its pages."""
    monkeypatch.setattr(queries, "_BLOCK", 4)
    monkeypatch.setattr(queries, "SCAN", 11)
    monkeypatch.setattr(queries, "_MOST_KEPT", 2)
    tasks, paths = EventFilter(("tasks",)), ("$.a", "$.b")

    def found(before: int, first: int = 0, wanted: EventFilter = tasks) -> tuple[list[int], int | None]:
        digests, following = store.digests(before, wanted, first, paths)
        return [each.offset for each in digests], following

    for n in range(9):
        store.append([draft(f"t{n}"), dead_draft(f"d{n}")], n)
        assert found(2 * n + 3)[0][0] == 2 * n + 1
    assert found(19) == ([17, 15, 13, 11, 9], 8)
    assert found(9) == ([7, 5, 3, 1], None)
    assert found(9, first=4) == ([7, 5], None)
    dead = EventFilter(types=("relay.delivery.dead",))
    assert found(19, wanted=dead) == ([18, 16, 14, 12, 10, 8], 8)
    assert len(store._kept) == 2
    scanned: list[int] = []
    scan = store._scanned
    monkeypatch.setattr(store, "_scanned", lambda *asked: scanned.append(asked[0]) or scan(*asked))
    assert found(19, wanted=dead) == found(19, wanted=dead) == ([18, 16, 14, 12, 10, 8], 8)
    assert scanned == [16, 16], "where more may come is read each time, the rest is not"
    while store.merge_dedup():
        pass
    store.prune(floor=12, older_than=99, over_size=1 << 60, chunk=99)
    assert found(19, wanted=dead) == ([18, 16, 14], None)


def test_from_every_place_the_next_ones_are_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many of a block are wanted, or a page ends within one, the list would leave some out or show them twice."""
    monkeypatch.setattr(queries, "_BLOCK", 4)
    monkeypatch.setattr(queries, "_SPARSE", 1)
    store.append([dead_draft(str(n)) if n % 3 else draft(str(n)) for n in range(1, 31)], 1)
    for wanted, where in ((EventFilter(("tasks",)), range(3, 31, 3)), (EventFilter(), range(1, 31))):
        for before in range(1, 33):
            found: list[int] = []
            following: int | None = before
            while following is not None:
                page = store.digests(following, wanted, 2, ("$.a", "$.b"), 3)
                found += [each.offset for each in page.found]
                following = page.next
            assert found == [offset for offset in reversed(where) if 2 <= offset < before]


def test_a_digest_of_what_is_no_json_has_no_values(store: Store) -> None:
    """One damaged event would end the list of all of them."""
    store.append([draft("a"), draft("b", data=b'{"a":')], 1)
    assert [each.values[0] for each in store.digests(9, EventFilter(), 0, ("$.a", "$.b")).found] == [None, None]
    store.append([draft("c", data=b'{"a":"\xff"}')], 1)
    with pytest.raises(JournalBroken, match="has changed since"):
        store.digests(9, EventFilter(), 0, ("$.a", "$.b"))


def test_a_place_is_found_by_its_time(store: Store) -> None:
    """A list of the last hour would begin somewhere else."""
    for at in (10, 20, 20, 40):
        store.append([draft(f"{at}-{n}-{store.last_offset}") for n in range(3)], at)
    places = [store.first_accepted_from(at) for at in (0, 10, 11, 20, 21, 40, 41)]
    assert places == [1, 1, 4, 4, 10, 10, 13]


def test_large_events_come_back_as_small_ones_do(store: Store) -> None:
    """A page of large events, which is read in another way, would hold other events than it should."""
    sizes = (10, 40_000, 20, 70_000, 16_000, 30)
    planned = []
    for n, size in enumerate(sizes):
        data = b'{"n":"' + "\u00e4\u2028\\n".encode() + b"x" * size + b'"}'
        planned += store.append([draft(str(n), data=data)], 1).entries
    for after in range(len(sizes)):
        assert store.read(after, 10, 1 << 20) == planned[after:]
        assert store.read(after, 2, 1 << 20) == planned[after : after + 2]
        assert store.read(after, 10, 1) == planned[after : after + 1]
    assert store.pick([2, 4, 6], 1 << 20) == [planned[1], planned[3], planned[5]]
    both = len(planned[1].event.data) + len(planned[3].event.data)
    assert store.pick([2, 4, 6], both) == [planned[1], planned[3]]
    assert store.pick([2, 4, 6], both - 1) == [planned[1]]
    assert store.pick([9], 1) == store.read(6, 1, 1) == []


def test_a_large_event_that_is_not_as_it_was_written_is_not_read(store: Store) -> None:
    """What a disk garbled of a large event would be published."""
    store.append([draft("a", data=b'"' + b"x" * 40_000 + b'"')], 1)
    store._db.execute("UPDATE events SET data = CAST(replace(CAST(data AS TEXT), 'xxy', 'x') || ' ' AS BLOB)")
    with pytest.raises(JournalBroken, match="has changed since it was written"):
        store.read(0, 1, 1)
