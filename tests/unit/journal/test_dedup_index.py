from __future__ import annotations

from pathlib import Path

import pytest

from relay.journal import dedup_index
from relay.journal.store import Store
from tests.unit.drafts import draft


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup_index, "MERGE_STEP", 10)


def append(store: Store, first: int, last: int) -> list[str]:
    return [receipt.result for receipt in store.append([draft(str(n)) for n in range(first, last)], 1).receipts]


def test_a_fact_is_known_in_memory_while_merging_and_in_the_table(store: Store) -> None:
    """Broken: a repetition would be published again because its key was between two places."""
    append(store, 0, 35)
    lefts = []
    while True:
        lefts.append(store.merge_dedup())
        assert append(store, 0, 35) == ["duplicate"] * 35
        if not lefts[-1]:
            break
    assert lefts == [25, 15, 5, 0]
    assert store._index.waiting() == 0


def test_what_arrives_during_a_merge_waits_for_the_next_one(store: Store) -> None:
    """Broken: the key of an event that came during a merge would be forgotten with it."""
    append(store, 0, 15)
    assert store.merge_dedup() == 5
    append(store, 15, 20)
    assert store.merge_dedup() == 0
    assert store._index.waiting() == 5
    assert store._index.merged_offset == 15
    assert append(store, 0, 20) == ["duplicate"] * 20


def test_a_crash_in_the_middle_of_a_merge_forgets_nothing(path: Path) -> None:
    """Broken: after a crash a repetition of an event that was half merged would be published again."""
    store = Store(path)
    append(store, 0, 35)
    store.merge_dedup()
    store.close()  # what is not written by now is gone, as after kill -9
    again = Store(path)
    try:
        assert again._index.merged_offset == 0
        assert append(again, 0, 35) == ["duplicate"] * 35
        while again.merge_dedup():
            pass
        assert again._index.merged_offset == 35
        assert append(again, 0, 36) == [*["duplicate"] * 35, "accepted"]
    finally:
        again.close()


def test_a_restart_reads_only_what_is_not_merged(path: Path) -> None:
    """Broken: each start would read every event of the journal, and take minutes with a large one."""
    store = Store(path)
    append(store, 0, 20)
    while store.merge_dedup():
        pass
    append(store, 20, 23)
    store.close()
    again = Store(path)
    try:
        assert again._index.waiting() == 3
    finally:
        again.close()


def test_events_whose_keys_are_not_merged_are_not_pruned(store: Store) -> None:
    """Broken: dedup would not outlive pruning: the key would go with its event's row."""
    append(store, 0, 20)
    assert store.prune(floor=20, older_than=1 << 50, over_size=1 << 40) == 0
    while store.merge_dedup():
        pass
    assert store.prune(floor=20, older_than=1 << 50, over_size=1 << 40) == 20
    assert append(store, 0, 20) == ["duplicate"] * 20


def test_a_merge_is_due_once_enough_keys_have_gathered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: keys would gather in memory without end, or be merged one by one."""
    monkeypatch.setattr("relay.journal.store.MERGE_AT", 10)
    append(store, 0, 9)
    assert not store.merge_is_due()
    append(store, 9, 10)
    assert store.merge_is_due()


def test_facts_are_found_by_what_their_keys_begin_with(store: Store) -> None:
    """A chat's chunks could not be found, or those of another chat would be among them."""
    facts = [bytes([first]) * 12 + bytes([0, 0, 0, n]) for n in range(30) for first in (7, 255)]
    store.append([draft(str(n))._replace(key=key) for n, key in enumerate(facts)], 1)
    sevens = list(range(1, 60, 2))
    while True:
        assert store.known_beginning(b"\x07" * 12, 0, 100) == sevens
        assert store.known_beginning(b"\x07" * 12, 5, 4) == [7, 9, 11, 13]
        assert store.known_beginning(b"\xff" * 12, 0, 100) == [offset + 1 for offset in sevens]
        if not store._index.waiting():
            break
        store.merge_dedup()
