from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from relay.journal import store as store_module
from relay.journal.errors import JournalUnavailable
from relay.journal.reserve import LEAST, MOST, Reserve, reserve_of
from relay.journal.store import Store
from tests.unit.drafts import dead_draft, draft


def no_room(monkeypatch: pytest.MonkeyPatch, code: int = errno.ENOSPC, beyond: int = 0) -> None:
    """The file system promises no more than so many bytes."""
    promise = os.posix_fallocate

    def refuse(descriptor: int, offset: int, size: int) -> None:
        if size > beyond:
            raise OSError(code, os.strerror(code))
        promise(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", refuse)


def test_the_room_is_really_taken_and_given_back(tmp_path: Path) -> None:
    """Broken: the reserve would be a hole, and on a full disk nothing could be written into the room that it leaves."""
    reserve = Reserve(tmp_path / "relay.db")
    assert reserve.hold(spare=1 << 20)
    found = reserve_of(tmp_path / "relay.db").stat()
    assert found.st_size == reserve.size
    assert found.st_blocks * 512 >= reserve.size
    reserve.release()
    assert reserve.released
    assert list(tmp_path.iterdir()) == []
    assert reserve.hold()
    assert reserve_of(tmp_path / "relay.db").stat().st_size == reserve.size
    assert not reserve.released


def test_its_size_is_a_share_of_a_small_volume_and_bounded(tmp_path: Path) -> None:
    """Broken: a small volume would hold the reserve and no events."""
    assert LEAST <= Reserve(tmp_path / "relay.db").size <= MOST
    assert Reserve(tmp_path / "nowhere" / "relay.db").size == LEAST


def test_a_disk_without_room_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: deliveries would be taken with room for the reserve alone, and refused at the next moment."""
    reserve = Reserve(tmp_path / "relay.db")
    no_room(monkeypatch, beyond=reserve.size)
    assert not reserve.hold(spare=1)
    assert reserve.hold()


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.EFBIG])
def test_a_file_system_that_promises_nothing_has_no_reserve(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: on such a file system the relay would never take anything."""
    no_room(monkeypatch, code)
    assert Reserve(tmp_path / "relay.db").hold(spare=1)


def test_a_folder_that_forbids_the_file_has_no_reserve(tmp_path: Path) -> None:
    """Broken: the relay would never take anything where it may write its journal alone."""
    reserve_of(tmp_path / "relay.db").mkdir()
    assert Reserve(tmp_path / "relay.db").hold()


def test_room_goes_back_to_the_disk_many_pages_at_a_time(tmp_path: Path) -> None:
    """Broken: each freed page has syncs of its own, so that a full disk of gigabytes takes hours to heal."""
    store = Store(tmp_path / "relay.db")
    store.append([draft(str(n), data=b'"' + b"x" * 100_000 + b'"') for n in range(50)], now=1)
    while store.merge_dedup():
        pass
    assert store.prune(floor=50, older_than=2, over_size=1 << 40) == 50
    steps: list[str] = []
    store._db.set_trace_callback(lambda statement: steps.append(statement) if "vacuum" in statement else None)
    store.make_room()
    assert 1 <= len(steps) <= 5  # 1,200 pages
    store.close()


def test_pages_that_are_free_beyond_some_to_spare_leave_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: the file keeps the size of its worst day, and its disk the room for it."""
    monkeypatch.setattr("relay.journal.pruning._SPARE_PAGES", 100)
    store = Store(tmp_path / "relay.db")
    store.append([draft(str(n), data=b'"' + b"x" * 100_000 + b'"') for n in range(50)], now=1)
    while store.merge_dedup():
        pass
    assert store.prune(floor=50, older_than=2, over_size=1 << 40) == 50
    assert store._one("PRAGMA freelist_count") < 300
    store.close()


def test_pages_of_expired_dead_letters_leave_the_file_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: after a flood of broken deliveries the file stays as large as it was."""
    monkeypatch.setattr("relay.journal.pruning._SPARE_PAGES", 100)
    store = Store(tmp_path / "relay.db")
    store.append([dead_draft(f"dead-{n}", raw=b"x" * 100_000) for n in range(50)], 1)
    assert store.prune_dead_letters(older_than=2, over_size=1 << 40, floor=50) == (50, "age")
    assert store._one("PRAGMA freelist_count") < 300
    store.close()


def test_the_room_that_pruning_made_goes_back_to_the_disk(tmp_path: Path) -> None:
    """Broken: what was freed stays in the file, and there is never room for the reserve again."""
    store = Store(tmp_path / "relay.db")
    store.append([draft(str(n), data=b'"' + b"x" * 100_000 + b'"') for n in range(50)], now=1)
    while store.merge_dedup():
        pass
    store.make_room()
    large = (tmp_path / "relay.db").stat().st_size
    assert store.prune(floor=50, older_than=2, over_size=1 << 40) == 50
    store.make_room()
    assert (tmp_path / "relay.db").stat().st_size < large / 10
    assert (tmp_path / "relay.db-wal").stat().st_size == 0
    store.close()


def test_pruning_writes_far_less_than_it_frees(tmp_path: Path) -> None:
    """Broken: pruning a full disk needs more room than there is: each freed page would be blanked through the log."""
    store = Store(tmp_path / "relay.db")
    store.append([draft(str(n), data=b'"' + b"x" * 100_000 + b'"') for n in range(50)], now=1)
    while store.merge_dedup():
        pass
    store.make_room()
    assert store.prune(floor=50, older_than=2, over_size=1 << 40) == 50
    assert (tmp_path / "relay.db-wal").stat().st_size < 500_000
    store.close()


def test_room_is_regained_by_a_commit_and_not_by_hope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: the relay would say that it takes events, on a disk that takes none."""
    store = Store(tmp_path / "relay.db")
    with monkeypatch.context() as full:
        no_room(full)
        for step in (store.hold_reserve, store.regain_room):
            with pytest.raises(JournalUnavailable) as refused:
                step()
            assert refused.value.code == "disk_full"
    store.make_room()
    store.regain_room()
    store.make_room()
    store.close()
    assert reserve_of(tmp_path / "relay.db").exists()  # what was released is taken again for the next start


def test_a_start_on_a_full_disk_has_the_room_of_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a relay whose disk ran full does not start again until a person makes room."""
    path = tmp_path / "relay.db"
    store = Store(path)
    store.hold_reserve()
    store.close()
    looks, looked = store_module.check_before_opening, []

    def look(at: Path) -> None:
        if reserve_of(at).exists():
            full = sqlite3.OperationalError("database or disk is full")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise full
        looked.append(at)
        looks(at)

    monkeypatch.setattr(store_module, "check_before_opening", look)
    assert reserve_of(path).exists()
    Store(path).close()
    assert looked == [path], "it is not opened unseen"
