from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from relay.journal import wal
from relay.journal.store import Store
from relay.journal.volume import log_of
from relay.journal.wal import FRAME_HEADER, HEADER, Damage, damage
from tests.unit.drafts import draft

FRAME = FRAME_HEADER + 4096


@pytest.fixture
def log(path: Path) -> Path:
    """The log of a journal that was killed after ten commits, each of several frames."""
    store = Store(path)
    for n in range(10):
        store.append([draft(f"{n}-{m}", data=b'"' + b"x" * 1500 + b'"') for m in range(8)], 1)
    written = log_of(path).read_bytes()
    store.close()
    copy = path.with_name("copy-wal")
    copy.write_bytes(written)
    return copy


def commits(log: Path) -> list[int]:
    """The frames (from 0) that end a transaction."""
    data = log.read_bytes()
    frames = range((len(data) - HEADER) // FRAME)
    return [frame for frame in frames if struct.unpack_from(">I", data, HEADER + frame * FRAME + 4)[0]]


def flip(log: Path, at: int, bit: int = 0) -> None:
    data = bytearray(log.read_bytes())
    data[at] ^= 1 << bit
    log.write_bytes(data)


def test_a_whole_log_is_believed(log: Path) -> None:
    """Broken: no relay would start after a crash."""
    assert damage(log) is None


@pytest.mark.parametrize("place", [0, 5, 9, 13, 17, 21, FRAME_HEADER, FRAME - 1])
def test_damage_that_acknowledged_events_follow_is_found(log: Path, place: int) -> None:
    """Broken: SQLite would drop the frame and every commit behind it without a word."""
    frames = (log.stat().st_size - HEADER) // FRAME
    last = commits(log)[-2]
    for frame in (0, last // 2, last):
        flip(log, HEADER + frame * FRAME + place)
        assert damage(log) == Damage(frame + 1, frames, HEADER + frame * FRAME)
        flip(log, HEADER + frame * FRAME + place)


def test_a_commit_behind_a_commit_shows_that_the_first_was_synced(log: Path) -> None:
    """Broken: both would be dropped where the first was written over, since nothing continues what is there."""
    data = bytearray(log.read_bytes())
    first, *_, before_last, _ = (HEADER + frame * FRAME for frame in commits(log))
    data[before_last : before_last + FRAME] = data[first : first + FRAME]
    log.write_bytes(data)
    frame = (before_last - HEADER) // FRAME
    assert damage(log) == Damage(frame + 1, (len(data) - HEADER) // FRAME, before_last)


@pytest.mark.parametrize("place", range(HEADER))
def test_a_damaged_header_is_found(log: Path, place: int) -> None:
    """Broken: SQLite would drop the whole log without a word."""
    flip(log, place)
    assert damage(log) is not None


@pytest.mark.parametrize("page_size", [512, 8192, 65536])
def test_a_damaged_header_is_found_whatever_the_size_of_a_page(tmp_path: Path, page_size: int) -> None:
    """Broken: SQLite would drop the whole log without a word where it is built for pages that are not of 4 KiB."""
    path, copy = tmp_path / "any.db", tmp_path / "copy-wal"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in (f"PRAGMA page_size = {page_size}", "PRAGMA journal_mode = WAL", "CREATE TABLE any (x)"):
            db.execute(statement)
        db.execute("INSERT INTO any VALUES (1)")
        copy.write_bytes(log_of(path).read_bytes())
    flip(copy, HEADER - 1)
    assert damage(copy) is not None


def test_what_sqlite_has_recovered_is_not_checked_again(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: after a crash a relay would take seconds for each 64 MiB of its log before it takes anything."""
    frames = (log.stat().st_size - HEADER) // FRAME
    checked: list[int] = []
    really = wal._checksum

    def counted(order: str, data: bytes, sums: wal.Sums) -> wal.Sums:
        checked.append(len(data))
        return really(order, data, sums)

    monkeypatch.setattr(wal, "_checksum", counted)
    assert damage(log, frames) is None
    assert max(checked) < 4096  # the header's own
    last, end = commits(log)[-3:-1]
    flip(log, HEADER + (last + 1) * FRAME + 100)
    assert damage(log, last + 1) == Damage(last + 2, frames, HEADER + (last + 1) * FRAME)
    assert end > last


def test_what_a_power_cut_leaves_is_no_damage(log: Path) -> None:
    """Broken: a relay would refuse to start after a power cut, for a transaction that was never acknowledged."""
    whole = log.read_bytes()
    before, last = commits(log)[-2:]
    assert last - before > 3
    for frame in range(before + 1, last + 1):  # of the last transaction's pages any may be missing or torn
        start = HEADER + frame * FRAME
        for size in (10, 300, FRAME):
            log.write_bytes(whole[:start] + bytes(size) + whole[start + size :])
            assert damage(log) is None
        log.write_bytes(whole[: start + 100])
        assert damage(log) is None


def test_what_is_left_from_before_the_log_started_over_is_no_damage(path: Path) -> None:
    """Broken: no relay would start after its log had been moved into the file once."""
    store = Store(path)
    for n in range(20):
        store.append([draft(str(n))], 1)
    store.checkpoint_wal()
    store.append([draft("first of the new log")], 1)
    try:
        assert damage(log_of(path)) is None
    finally:
        store.close()


def test_a_log_that_is_not_one_yet_is_no_damage(path: Path) -> None:
    """Broken: a crash in the instant when the log is made would keep the relay from starting."""
    path.write_bytes(b"")
    assert damage(path) is None
    path.write_bytes(bytes(5000))
    assert damage(path) is None
