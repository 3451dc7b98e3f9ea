from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.journal.errors import JournalBroken
from relay.journal.look import APPLICATION_ID, Look, look_before_opening
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


def test_a_look_sees_the_log_and_changes_nothing(killed: Path) -> None:
    """Broken: a start that refuses afterwards would have changed what there is to save."""
    before = contents(killed)
    with closing(Look(killed)) as look:
        assert look.db.execute("SELECT count(*) FROM events").fetchone() == (6,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            look.db.execute("DELETE FROM events")
    look_before_opening(killed)
    assert contents(killed) == before


def test_a_look_at_a_closed_journal_makes_no_log(path: Path) -> None:
    """Broken: an empty log would appear beside a journal that needs none."""
    Store(path).close()
    look_before_opening(path)
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
    """Broken: `file` and other tools could not tell what it is, and a release that looks for the mark refuse it."""
    store = Store(path)
    store.append([draft("1")], 1)
    store.close()
    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION_ID
    Store(path).close()
