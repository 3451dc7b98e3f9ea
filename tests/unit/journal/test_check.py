from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.core.publishing.lineage import Names
from relay.journal.check import APPLICATION_ID, JournalCheck, check_before_opening
from relay.journal.errors import JournalBroken
from relay.journal.inspect import open_existing
from relay.journal.names import open_under
from relay.journal.store import Store
from relay.journal.volume import log_of
from relay.journal.wal import HEADER
from tests.unit.drafts import draft


@pytest.fixture
def killed(path: Path, tmp_path: Path) -> Path:
    """A journal as ``kill -9`` leaves it, without the shared memory."""
    store = Store(path)
    for n in range(6):
        store.append([draft(str(n))], 1)
    copy = tmp_path / "copy" / "relay.db"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    shutil.copy(log_of(path), log_of(copy))
    store.close()
    return copy


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def test_a_check_sees_the_log_and_changes_nothing(killed: Path) -> None:
    """Broken: a start that refuses afterwards would have changed what there is to save."""
    before = contents(killed)
    with closing(JournalCheck(killed)) as check:
        assert check.db.execute("SELECT count(*) FROM events").fetchone() == (6,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            check.db.execute("DELETE FROM events")
    check_before_opening(killed)
    assert contents(killed) == before


def test_a_check_of_a_closed_journal_makes_no_log(path: Path) -> None:
    """Broken: an empty log would appear beside a journal that needs none."""
    Store(path).close()
    check_before_opening(path)
    assert os.listdir(path.parent) == [path.name]


def test_an_unknown_layout_is_refused_before_anything_is_written(killed: Path) -> None:
    """Broken: an older relay would change the journal of a newer one, and then refuse it."""
    with sqlite3.connect(killed) as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
        keeper = sqlite3.connect(f"{killed.as_uri()}?mode=ro", uri=True)
        keeper.execute("SELECT * FROM meta").fetchone()
    db.close()
    keeper.close()
    before = contents(killed)
    with pytest.raises(JournalBroken, match="layout 99"):
        Store(killed)
    assert {name: data for name, data in contents(killed).items() if name in ("relay.db", "relay.db-wal")} == {
        name: data for name, data in before.items() if name in ("relay.db", "relay.db-wal")
    }


def test_a_log_with_a_damaged_frame_is_refused_and_kept(killed: Path) -> None:
    """Broken: SQLite would drop the frame and every commit behind it without a word."""
    log = bytearray(log_of(killed).read_bytes())
    log[HEADER + 100] ^= 1
    log_of(killed).write_bytes(log)
    before = contents(killed)
    with pytest.raises(JournalBroken, match="Frame 1 of"):
        Store(killed)
    assert contents(killed) == before


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE notes (text)",),
        ("CREATE TABLE meta (key, value)",),
        ("PRAGMA application_id = 252006675", "CREATE TABLE meta (key, value)"),
        ("PRAGMA application_id = 252006675", "VACUUM"),
    ],
    ids=["tables of its own", "a table by the same name", "an id of its own", "an id and no table"],
)
def test_the_database_of_another_application_is_left_alone(path: Path, statements: tuple[str, ...]) -> None:
    """Broken: a mistyped journal.path would turn another application's database into a journal."""
    run(path, *statements)
    before = path.read_bytes()
    with pytest.raises(JournalBroken) as refused:
        Store(path)
    assert refused.value.code == "not_a_journal"
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_journal_is_marked_as_one(path: Path) -> None:
    """Broken: `file` and other tools would not recognize it, and a release that looks for the mark would refuse it."""
    store = Store(path)
    store.append([draft("1")], 1)
    store.close()
    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION_ID
    Store(path).close()


@pytest.fixture
def closed(path: Path) -> Path:
    """A journal after an orderly end: its six facts are in the dedup index, and there is no log."""
    store = Store(path)
    store.append([draft(str(n)) for n in range(6)], 1_000)
    while store.merge_dedup():
        pass
    store.close()
    return path


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement, values).rowcount > 0


@pytest.mark.parametrize(
    "damage",
    [
        'DELETE FROM dedup WHERE "offset" = 3',
        'UPDATE dedup SET key = zeroblob(16) WHERE "offset" = 3',
        'UPDATE dedup SET fingerprint = zeroblob(16) WHERE "offset" = 3',
        'UPDATE dedup SET "offset" = 30 WHERE "offset" = 3',
    ],
)
def test_a_dedup_index_that_has_forgotten_an_event_is_refused(closed: Path, damage: str) -> None:
    """Broken: a page of the index that came back old or empty goes unnoticed, and repetitions are published again."""
    change(closed, damage)
    with pytest.raises(JournalBroken, match="does not have event 3 as it was written"):
        Store(closed)
    with closing(open_existing(closed)) as stopped:
        assert "event 3" in stopped.integrity()[0]


def test_what_has_expired_from_the_dedup_index_is_not_missed(closed: Path) -> None:
    """Broken: a relay that keeps events for longer than it knows repetitions would not start again."""
    store = Store(closed)
    store.append([draft("later")], 3_000)
    while store.merge_dedup():
        pass
    store.sweep_dedup(b"", older_than=2_000)
    assert store.append([draft("3")], 4_000).receipts[0].result == "accepted"
    while store.merge_dedup():
        pass
    store.close()
    Store(closed).close()
    change(closed, 'DELETE FROM dedup WHERE "offset" = 7')
    with pytest.raises(JournalBroken, match="event 7"):
        Store(closed)


def test_a_journal_of_a_release_that_noted_no_expiry_is_opened(closed: Path) -> None:
    """Broken: the journals of earlier releases would be refused as damaged."""
    change(closed, "DELETE FROM meta WHERE key = 'swept_before'")
    change(closed, 'DELETE FROM dedup WHERE "offset" = 3')
    store = Store(closed)
    store.sweep_dedup(b"", older_than=2_000)
    store.close()
    Store(closed).close()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("merged_offset", "2w"),
        ("forks", "]]"),
        ("forks", "[[1,2,3,4,5,6,7,8,9]]"),
        ("swept", "0g"),
        ("schema_version", b"\xb1"),
        ("names", '{"identit1":"relay"}'),
    ],
)
def test_notes_that_cannot_be_read_are_refused_like_all_that_is_damaged(
    closed: Path, key: str, value: str | bytes
) -> None:
    """Broken: a traceback instead of what to do."""
    change(closed, "INSERT OR REPLACE INTO meta VALUES (?, CAST(? AS TEXT))", key, value)
    with pytest.raises(JournalBroken, match=r"cannot be read|bytes where text should be"):
        open_under(Names("relay", {}), closed, must_exist=True)


@pytest.mark.parametrize("key", ["merged_offset", "forks", "journal_id", "schema_version"])
def test_a_note_whose_name_is_damaged_is_refused_wherever_the_file_has_the_name(path: Path, key: str) -> None:
    """Broken: SQLite's check does not compare an index with its table, and a traceback says nothing of what to do."""
    Store(path).close()
    whole = path.read_bytes()
    places = [found.start() for found in re.finditer(key.encode(), whole)]
    assert places
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(JournalBroken):
            Store(path)
