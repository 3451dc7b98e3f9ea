from __future__ import annotations

import os
import shlex
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.journal.errors import JournalBroken
from relay.journal.inspect import open_existing
from relay.journal.store import Store
from relay.journal.volume import is_new, log_of, make_folder
from relay.journal.wal import FRAME_HEADER, HEADER
from tests.unit.drafts import draft
from tests.unit.full_disk import files_limited_to

FRAME = FRAME_HEADER + 4096


def killed(path: Path, commits: int = 6) -> None:
    """Leaves a journal as ``kill -9`` does: nothing is moved out of the log, nothing marked as closed."""
    store = Store(path)
    for n in range(commits):
        store.append([draft(str(n))], 1)
    main, log = path.read_bytes(), log_of(path).read_bytes()
    store.close()
    path.write_bytes(main)
    log_of(path).write_bytes(log)


def held(path: Path) -> int:
    store = Store(path)
    try:
        return len(store.read(0, 1000, 1 << 30))
    finally:
        store.close()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is synced from now on, but by SQLite."""
    places = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        places.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return places


@pytest.mark.parametrize("left", [b"", b"\0" * 4096, b"\0" * 2048 + b"\x2a" * 2048])
def test_a_journal_that_was_being_made_when_the_power_went_is_made_again(tmp_path: Path, left: bytes) -> None:
    """Broken: after a power cut in the first second a relay would not start until somebody removes its file."""
    path = tmp_path / "relay.db"
    half_made = sqlite3.connect(path, isolation_level=None)
    half_made.execute("PRAGMA locking_mode = EXCLUSIVE")
    half_made.execute("PRAGMA cache_size = 1")
    half_made.execute("BEGIN EXCLUSIVE")
    for number in range(20):  # more than the cache holds: the rollback journal is synced
        half_made.execute(f"CREATE TABLE t{number} (a)")
    journal = path.with_name("relay.db-journal").read_bytes()
    half_made.close()
    path.write_bytes(left)
    path.with_name("relay.db-journal").write_bytes(journal)
    with pytest.raises(JournalBroken, match="it is empty"):
        open_existing(path)
    assert held(path) == 0


def test_a_journal_is_never_taken_for_half_made(tmp_path: Path) -> None:
    """Broken: its checks would be left out, where the rollback journal of its first moment is found again."""
    path = tmp_path / "relay.db"
    Store(path).close()
    path.with_name("relay.db-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(504))
    assert not is_new(path)


def test_a_foreign_file_is_never_taken_for_half_made(tmp_path: Path) -> None:
    """Broken: a file that somebody needs would be emptied."""
    path = tmp_path / "notes"
    path.write_text("needed")
    path.with_name("notes-journal").write_text("my journal")
    with pytest.raises(JournalBroken, match="it is no SQLite database"):
        Store(path)
    assert path.read_text() == "needed"


def test_new_folders_are_synced_in_the_folders_that_hold_them(tmp_path: Path, synced: list[Path]) -> None:
    """Broken: a power cut could take away the folder of a journal whose own writes were all synced."""
    make_folder(tmp_path / "a" / "b" / "c")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    make_folder(tmp_path / "a" / "b" / "c")
    assert len(synced) == 3


def test_a_new_journal_is_synced_in_its_folder(tmp_path: Path, synced: list[Path]) -> None:
    """Broken: a power cut could take away the file of a journal whose own writes were all synced."""
    for _ in range(2):
        Store(tmp_path / "j.db").close()
        assert synced == [tmp_path]


def test_a_volume_that_is_read_only_is_named_and_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: an operator would look for a broken disk where a mount option is wrong."""
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path)
    with pytest.raises(JournalBroken) as refused:
        Store(tmp_path / "j.db")
    assert refused.value.code == "journal_read_only"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_makes_meanwhile_is_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: of two commands that start together on a new volume one would end in a traceback."""
    new = tmp_path / "a" / "b"
    monkeypatch.setattr("relay.journal.volume.sync_folder", lambda _: new.mkdir(exist_ok=True))
    make_folder(new)
    assert new.is_dir()


def test_a_damaged_log_is_refused_until_it_is_cut_off_as_the_hint_says(path: Path) -> None:
    """Broken: acknowledged events would vanish in silence, or the advice given would not lead out of it."""
    killed(path, commits=24)  # more than what the log had when the journal was made
    log = bytearray(log_of(path).read_bytes())
    log[HEADER + (len(log) // FRAME // 3) * FRAME + 200] ^= 1
    log_of(path).write_bytes(log)
    with pytest.raises(JournalBroken) as refused:
        Store(path)
    assert refused.value.code == "journal_damaged"
    assert log_of(path).read_bytes() == log, "the evidence is gone"
    advice = refused.value.hint.partition("cut the log off: ")[2]
    subprocess.run(shlex.split(advice), check=True, timeout=10)
    assert 0 < held(path) < 24


@pytest.mark.parametrize("lose", [Path.unlink, lambda log: log.write_bytes(b"")], ids=["missing", "empty"])
def test_a_lost_log_is_refused_until_it_is_given_up_as_the_hint_says(path: Path, lose: Callable[[Path], None]) -> None:
    """Broken: what was accepted since the log was last moved into the file would vanish in silence."""
    killed(path)
    lose(log_of(path))
    for _ in range(2):  # refusing must not count as closing
        with pytest.raises(JournalBroken, match="was in use"):
            Store(path)
    with pytest.raises(JournalBroken) as refused:
        open_existing(path)
    advice = refused.value.hint.partition('"')[2].rstrip('"')
    with sqlite3.connect(path) as db:
        db.execute(advice)
    db.close()
    assert held(path) == 0


def test_a_journal_that_was_closed_needs_no_log(path: Path) -> None:
    """Broken: no journal could be copied or moved while its relay is stopped."""
    killed(path)
    assert held(path) == 6
    assert not log_of(path).exists()
    assert held(path) == 6


def test_a_disk_without_room_for_the_mark_keeps_the_log(path: Path) -> None:
    """Broken: a relay that ended because of its disk would be refused at the next start, with nothing lost."""
    store, log, count = Store(path), log_of(path), 0
    begun = log.stat().st_size
    while log.stat().st_size == begun:  # it is written from its start again: until then there is room in it
        store.append([draft(str(count))], 1)
        count += 1
    with files_limited_to(log.stat().st_size):
        store.close()
    assert held(path) == count
    assert held(path) == count
    assert os.listdir(path.parent) == [path.name]


def test_a_start_that_fails_leaves_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: after a start that failed for any other reason, the next one would take the log for lost."""
    killed(path)
    monkeypatch.setattr("relay.journal.store.DedupIndex", None)
    with pytest.raises(TypeError):
        Store(path)
    monkeypatch.undo()
    assert held(path) == 6


def test_a_look_at_a_crashed_journal_leaves_it_startable(path: Path) -> None:
    """Broken: `relay journal verify` after a crash would move the log into the file, and the relay then miss it."""
    killed(path)
    open_existing(path).close()
    assert held(path) == 6


def test_a_journal_whose_pages_are_damaged_is_refused(path: Path) -> None:
    """Broken: a search through damaged pages could pass over events, and nobody would hear of it."""
    store = Store(path)
    store.append([draft(str(n), data=b'"' + b"x" * 800 + b'"') for n in range(200)], 1)
    store.close()
    data = bytearray(path.read_bytes())
    page = data.index(b"x" * 100) // 4096 * 4096
    data[page + 8] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(JournalBroken, match="damaged"):
        Store(path)


@pytest.mark.parametrize("byte", [b"needle", b"t1:succ"])
def test_an_event_that_is_not_as_it_was_written_is_not_read(path: Path, byte: bytes) -> None:
    """Broken: what a disk garbled would be published as if the upstream had said it."""
    store = Store(path)
    store.append([draft("t0"), draft("t1", data=b'{"n":"needle"}'), draft("t2")], 1)
    store.close()
    for bit in (0, 7):  # still text, and no text any more
        data = bytearray(path.read_bytes())
        data[data.index(byte)] ^= 1 << bit
        path.write_bytes(data)
        store = Store(path)
        with pytest.raises(JournalBroken, match="has changed since it was written"):
            store.read(0, 10, 1 << 20)
        assert [entry.event.subject for entry in store.read(0, 1, 1 << 20)] == ["t0"]
        assert store.integrity()
        store.close()
        data[data.index(bytes([byte[0] ^ 1 << bit]) + byte[1:])] ^= 1 << bit
        path.write_bytes(data)
