from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from relay.core.event import Draft
from relay.journal.errors import JournalBroken, JournalInUse, JournalUnavailable
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.rows import Progress
from relay.journal.store import Store
from relay.journal.volume import log_of
from tests.unit.drafts import dead_draft, draft
from tests.unit.full_disk import files_limited_to


def merge(store: Store) -> None:
    while store.merge_dedup():
        pass


def results(store: Store, *drafts: Draft) -> list[tuple[str, int]]:
    return [(receipt.result, receipt.offset) for receipt in store.append(drafts, 1000).receipts]


def test_offsets_count_up_and_repetitions_get_the_first_ones_offset(store: Store) -> None:
    """Broken: a duplicate would be published again, or its sender would get the id of an event that does not exist."""
    assert results(store, draft("a"), draft("b"), draft("a")) == [("accepted", 1), ("accepted", 2), ("duplicate", 1)]
    assert results(store, draft("b"), draft("c")) == [("duplicate", 2), ("accepted", 3)]


def test_a_contradiction_is_appended_once_in_the_same_or_a_later_group(store: Store) -> None:
    """Broken: a contradiction would be swallowed, or published once per redelivery."""
    assert results(store, draft("a", says="x"), draft("a", says="y"), draft("a", says="y")) == [
        ("accepted", 1),
        ("accepted", 2),
        ("duplicate", 2),
    ]
    assert results(store, draft("a", says="y"), draft("a", says="x"), draft("a", says="z")) == [
        ("duplicate", 2),
        ("duplicate", 1),
        ("accepted", 3),
    ]
    types = [entry.event.type for entry in store.read(0, 10, 1 << 20)]
    assert types == ["relay.task.succeeded", "relay.task.conflicted", "relay.task.conflicted"]


def test_events_come_back_as_they_went_in(store: Store) -> None:
    """Broken: a consumer would get other bytes than those that were journaled (invariant I4)."""
    data = '{"a":"é\\u0000\\"\\\\ \u2028😀"}'.encode()
    event = draft("a", data=data).event
    store.append([draft("a", data=data)], 1234)
    (entry,) = store.read(0, 10, 1 << 20)
    assert (entry.event, entry.offset, entry.accepted_at, entry.sink) == (event, 1, 1234, None)


def test_a_group_larger_than_one_statement_is_whole_and_in_order(store: Store) -> None:
    """Broken: a burst beyond one statement's rows would lose or reorder events."""
    store.append([draft(str(n)) for n in range(300)], 1)
    assert [entry.event.subject for entry in store.read(0, 1000, 1 << 30)] == [str(n) for n in range(300)]
    assert results(store, *[draft(str(n)) for n in range(300)]) == [("duplicate", n + 1) for n in range(300)]


def test_a_page_is_bounded_in_events_and_bytes_but_never_empty(store: Store) -> None:
    """Broken: a reader of large events would take the memory of all of them, or stop at one that is over the bound."""
    store.append([draft(str(n), data=b'"' + b"x" * 998 + b'"') for n in range(10)], 1)
    assert len(store.read(0, 4, 1 << 20)) == 4
    assert len(store.read(0, 10, 3500)) == 3
    assert len(store.read(0, 10, 1)) == 1


def test_everything_is_there_after_reopening(path: Path) -> None:
    """Broken: a restart would forget events, the dedup index, the checkpoints or the journal's identity."""
    first = Store(path)
    first.append([draft("a"), dead_draft("dead-1", b'{"raw":1}')], 5, {"kafka": Progress(1, 1, 0)})
    identity = first.journal_id
    first.close()
    second = Store(path)
    try:
        assert (second.journal_id, second.last_offset) == (identity, 2)
        assert results(second, draft("a"), draft("b")) == [("duplicate", 1), ("accepted", 3)]
        assert second.checkpoints()["kafka"].offset == 1
        letter = second.projection(DeadLetters).find("dead-1")
        assert letter is not None
        assert (letter.raw, letter.reason) == (b'{"raw":1}', "unknown_status")
    finally:
        second.close()


def test_offsets_never_start_again_after_pruning_everything(path: Path) -> None:
    """TRAP I. Broken: a sink at offset N would take the next N new events for published: silent loss."""
    store = Store(path)
    store.append([draft(str(n)) for n in range(5)], 1)
    merge(store)
    assert store.prune(floor=5, older_than=10, over_size=1 << 40) == 5
    store.close()
    again = Store(path)
    try:
        assert again.last_offset == 5
        assert results(again, draft("new")) == [("accepted", 6)]
    finally:
        again.close()


def test_dedup_outlives_pruning(store: Store) -> None:
    """Broken: a webhook repeated after its event was pruned would be published a second time."""
    store.append([draft("a")], 1)
    merge(store)
    store.prune(floor=1, older_than=10, over_size=1 << 40)
    assert store.read(0, 10, 1 << 20) == []
    assert results(store, draft("a")) == [("duplicate", 1)]


def test_pruning_never_touches_what_a_sink_has_not_got(store: Store) -> None:
    """Broken: retention would delete unpublished events."""
    store.append([draft(str(n)) for n in range(10)], 1)
    merge(store)
    assert store.prune(floor=4, older_than=1 << 50, over_size=0) == 4
    assert store.prune(floor=4, older_than=1 << 50, over_size=0) == 0
    assert [entry.offset for entry in store.read(0, 100, 1 << 20)] == [5, 6, 7, 8, 9, 10]


def test_pruning_by_age_keeps_the_young_and_by_size_goes_on_while_too_large(store: Store) -> None:
    """Broken: events would go before their retention, or a full journal would never shrink."""
    store.append([draft("old")], 1000)
    store.append([draft("young")], 2000)
    merge(store)
    assert store.prune(floor=2, older_than=1500, over_size=1 << 40) == 1
    assert store.prune(floor=2, older_than=1500, over_size=1 << 40) == 0
    assert store.prune(floor=2, older_than=1500, over_size=0) == 1


def test_the_dedup_sweep_forgets_only_what_is_older_than_the_window(store: Store) -> None:
    """Broken: the index would grow without end, or forget facts inside the window."""
    store.append([draft(f"old{n}") for n in range(50)], 1000)
    store.append([draft(f"new{n}") for n in range(50)], 2000)
    merge(store)
    position, steps = store.sweep_dedup(b"", older_than=1500, step=7), 1
    while position:
        position, steps = store.sweep_dedup(position, older_than=1500, step=7), steps + 1
    assert steps >= 100 // 7
    assert {r for r, _ in results(store, *[draft(f"new{n}") for n in range(50)])} == {"duplicate"}
    assert {r for r, _ in results(store, *[draft(f"old{n}") for n in range(50)])} == {"accepted"}


def test_a_second_process_is_kept_out(path: Path, store: Store) -> None:
    """Broken: two relays on one volume would interleave offsets."""
    store.append([draft("a")], 1)
    with pytest.raises(JournalInUse, match="another process"):
        Store(path)


def test_a_full_disk_fails_the_whole_group_and_nothing_of_it_stays(path: Path) -> None:
    """Broken: after SQLite rolled back by itself the rest of a group would be committed row by row (measured)."""
    store = Store(path, max_pages=40)
    try:
        written = 0
        with pytest.raises(JournalUnavailable) as full:
            for written in range(1000):
                store.append([draft(f"{written}-{n}", data=b'"' + b"x" * 2000 + b'"') for n in range(4)], 1)
        assert full.value.code == "disk_full"
        assert store.last_offset == written * 4
        assert len(store.read(0, 10_000, 1 << 30)) == written * 4
        merge(store)
        store.prune(floor=store.last_offset, older_than=1 << 50, over_size=1 << 40)
        assert results(store, draft("after")) == [("accepted", written * 4 + 1)]
        assert store.integrity() == []
    finally:
        store.close()


def broken_by_its_disk(path: Path) -> tuple[Store, JournalBroken]:
    """A store that one write has failed, on a disk that is well again; it holds event ``a``."""
    store = Store(path)
    store.append([draft("a")], 1)
    merge(store)  # so that there is something to prune
    with files_limited_to(200_000), pytest.raises(JournalBroken, match="restart recovers") as failed:
        store.append([draft(str(n), data=b'"' + b"x" * 2000 + b'"') for n in range(200)], 1)
    return store, failed.value


WRITES: dict[str, Callable[[Store], object]] = {
    "append": lambda store: store.append([draft("b")], 2),
    "progress": lambda store: store.append([], 2, {"kafka": Progress(1, 1, 0)}),
    "change": lambda store: store.execute(lambda: None),
    "delete_dead_letter": lambda store: store.execute(store.projection(DeadLetters).delete, "dead-1"),
    "prune": lambda store: store.prune(floor=1, older_than=1 << 50, over_size=0),
    "merge_dedup": lambda store: store.merge_dedup(),
    "sweep_dedup": lambda store: store.sweep_dedup(b"", older_than=1),
    "fork": lambda store: store.fork(1, 1),
    "checkpoint_wal": lambda store: store.checkpoint_wal(),
}


@pytest.mark.parametrize("write", WRITES)
def test_after_an_io_error_nothing_more_is_written(path: Path, write: str) -> None:
    """Broken: after a failed write or fsync the next "success" may be a lie (fsyncgate), and a 2xx with it."""
    store, error = broken_by_its_disk(path)
    for _ in range(2):
        with pytest.raises(JournalBroken) as refused:
            WRITES[write](store)
        assert refused.value is error
    assert [entry.event.subject for entry in store.read(0, 10, 1 << 20)] == ["a"]
    store.close()


def test_a_journal_that_its_disk_has_broken_is_left_as_it_is(path: Path) -> None:
    """Broken: what the disk may have lost would be moved over what it holds, and the start find nothing to recover."""
    store, _ = broken_by_its_disk(path)
    store.close()
    assert log_of(path).exists()
    again = Store(path)
    assert [entry.event.subject for entry in again.read(0, 10, 1 << 20)] == ["a"]
    again.close()


def test_a_file_that_is_no_journal_is_refused(path: Path) -> None:
    """Broken: somebody else's file would be overwritten, or a damaged journal started silently empty."""
    path.write_bytes(b"this is not a database, " * 500)
    with pytest.raises(JournalBroken, match="it is no SQLite database") as refused:
        Store(path)
    assert refused.value.code == "not_a_journal"


def test_a_folder_that_is_named_as_the_journal_is_refused(tmp_path: Path) -> None:
    """Broken: an operator would look for a broken disk where the name of the file is missing."""
    with pytest.raises(JournalBroken, match="it is a folder") as refused:
        Store(tmp_path)
    assert "relay.db" in refused.value.hint


def test_a_wal_without_its_file_is_refused(path: Path) -> None:
    """Broken: a journal whose main file was lost would start silently empty."""
    path.with_name("relay.db-wal").write_bytes(b"x" * 4096)
    with pytest.raises(JournalBroken, match="belong together"):
        Store(path)


def test_a_fork_outlives_a_restart(path: Path) -> None:
    """TRAP J. Broken: a journal restored from an older copy would reuse offsets that a sink has passed."""
    store = Store(path)
    store.append([draft("a")], 1)
    before = store.journal_id
    store.fork(1, 500)
    assert store.journal_id != before
    store.close()
    again = Store(path)
    try:
        assert [(fork.journal_id, fork.offset) for fork in again.forks] == [(before, 1)]
        assert results(again, draft("b")) == [("accepted", 501)]
    finally:
        again.close()


def test_what_is_for_one_sink_only_is_known(store: Store) -> None:
    """Broken: after a crash or a loss on the sink the balance would never add up again."""
    store.append([draft("a"), draft("b"), draft("c")._replace(sink="redis"), draft("d")], 1)
    assert store.addressed(0) == [(3, "redis")]
    assert store.addressed(3) == []


def test_the_file_is_set_up_as_the_promises_need_it(store: Store) -> None:
    """Broken: a 2xx would not mean fsynced, readers could not read beside it, or the file would never shrink."""

    def pragma(name: str) -> object:
        return store._db.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("locking_mode") == "normal"
    assert pragma("auto_vacuum") == 2
    assert pragma("wal_autocheckpoint") == 0


def test_a_log_that_is_not_kept_short_is_overdue(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: with somebody always reading the log would grow until the disk is full."""
    store.append([draft("a")], 1)
    assert not store.wal_is_overdue()
    monkeypatch.setattr("relay.journal.store.LOG_OVERDUE", 1)
    assert store.wal_is_overdue()


def test_deleting_a_dead_letter_says_whether_there_was_one(store: Store) -> None:
    """Broken: deleting a dead letter twice would count it twice."""
    store.append([dead_draft("dead-1")], 1)
    assert store.projection(DeadLetters).count() == 1
    assert store.execute(store.projection(DeadLetters).delete, "dead-1") is True
    assert store.execute(store.projection(DeadLetters).delete, "dead-1") is False
    assert store.projection(DeadLetters).count() == 0
