"""The layout of the journal's file: the one that was released stays readable, whatever comes after it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.journal import layout
from relay.journal.check import APPLICATION_ID
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.inspect import open_existing, verify
from relay.journal.projections import PROJECTIONS
from relay.journal.projections.chats import Chats
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.projections.tasks import Tasks, Wanted
from relay.journal.rows import SavedCheckpoint
from relay.journal.store import Store
from tests.unit.drafts import draft
from tests.unit.journal.layouts import file_of, present
from tests.unit.journal.stored import AT, delivered, drafts_of

NEXT = "-- as it was\nALTER TABLE events ADD COLUMN mood TEXT;\nUPDATE events\nSET mood = 'calm';"


def columns(db: sqlite3.Connection) -> dict[str, set[tuple[str, ...]]]:
    """The tables with their columns, in any order, and the other objects with nothing."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")]
    table_info = 'SELECT name, type, "notnull", pk FROM pragma_table_info(?)'
    return {name: set(db.execute(table_info, (name,))) for name in names}


def made(path: Path, version: int) -> sqlite3.Connection:
    """A file of an earlier version: empty, but that of a checkout."""
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(file_of(version).read_text())
    if version:
        db.execute("INSERT INTO meta VALUES ('schema_version', ?)", (str(version),))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return db


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> int:
    """A release later, events have a column more."""
    version = layout.newest() + 1
    monkeypatch.setitem(layout.MIGRATIONS, f"to_{version}", NEXT)
    return version


def test_a_released_layout_is_changed_by_a_migration_only() -> None:
    """Broken: two relays that both say layout N would lay out their files differently, and misread each other's.

    Once it is released, a changed layout needs a step in migrations.sql and a ``layout-N.sql`` of its own.
    """
    assert present() == file_of(layout.newest()).read_text()


@pytest.mark.parametrize("version", range(1, layout.newest() + 1))
def test_a_file_of_each_version_becomes_what_a_new_file_is(tmp_path: Path, version: int) -> None:
    """Broken: after an update the relay would fail on the first statement that needs what the old file lacks."""
    Store(tmp_path / "new.db").close()
    with closing(made(tmp_path / "old.db", version)) as old, closing(sqlite3.connect(tmp_path / "new.db")) as new:
        layout.migrate(old)
        for projection in PROJECTIONS:
            projection.create(old)
        assert columns(old) == columns(new)
        assert layout.version_of(old) == layout.newest()


def test_an_older_journal_is_brought_up_to_date_with_what_it_holds(path: Path, next_version: int) -> None:
    """Broken: an update would refuse the journal that it finds, or run a step twice."""
    with pytest.MonkeyPatch.context() as before:
        before.delitem(layout.MIGRATIONS, f"to_{next_version}")
        store = Store(path)
        store.append([draft("a")], 1)
        store.close()
    for _ in range(2):
        store = Store(path)
        assert [entry.event.subject for entry in store.read(0, 10, 1 << 20)] == ["a"]
        assert store._db.execute("SELECT mood FROM events").fetchall() == [("calm",)]
        assert layout.version_of(store._db) == next_version
        store.close()


def test_a_step_that_fails_leaves_the_older_journal_as_it_was(path: Path, next_version: int) -> None:
    """Broken: a disk that fills up in mid-step would leave a file of no version, which no relay can open."""
    with pytest.MonkeyPatch.context() as before:
        before.delitem(layout.MIGRATIONS, f"to_{next_version}")
        Store(path).close()
        with closing(sqlite3.connect(path)) as db:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
        layout.MIGRATIONS[f"to_{next_version}"] = f"{NEXT}\nCREATE TABLE filler AS SELECT zeroblob(1 << 20);"
        with pytest.raises(JournalUnavailable):
            Store(path, max_pages=pages + 10)
        del layout.MIGRATIONS[f"to_{next_version}"]
        store = Store(path)
        assert layout.version_of(store._db) == next_version - 1
        store.append([draft("a")], 1)
        store.close()


def test_an_older_journal_is_not_changed_by_looking_into_it(path: Path, next_version: int) -> None:
    """Broken: `relay journal verify` would change the file, or end in an error of SQLite's about a missing column."""
    with pytest.MonkeyPatch.context() as before:
        before.delitem(layout.MIGRATIONS, f"to_{next_version}")
        Store(path).close()
        with closing(open_existing(path)) as look:
            assert verify(look)[1] == []
    with pytest.raises(JournalBroken) as refused:
        open_existing(path)
    assert refused.value.code == "journal_version"


def test_a_journal_of_a_checkout_from_before_the_first_release_opens_with_all_that_it_holds(path: Path) -> None:
    """Broken: a relay that ran from a checkout would lose, or publish again, what its journal holds.

    ``layout-0.sql`` is a journal that commit ee55579 wrote: deliveries, a task that runs, a chat that was open.
    """
    made(path, 0).close()
    for _ in range(2):  # as it was left, and as this relay has left it
        with closing(Store(path)) as store:
            assert [entry.event.id for entry in store.read(0, 10, 1 << 20)] == [
                "t-runs:submitted",
                "t-succeeds:succeeded",
                "t-succeeds:conflicted:9b88879a6e7571aa",
                "t-fails:failed",
                "dead-6e881a202d9c7c8211fe278b",
                "chat-open:started",
                "chat-open:chunk:0",
            ]
            assert store.checkpoints() == {"redis": SavedCheckpoint(2, 2, 0)}
            assert [chat.chat_id for chat in store.projection(Chats).all()] == ["chat-open"]
            assert [letter.subject for letter in store.projection(DeadLetters).page("", 10)] == ["t-odd"]
            assert [task.task_id for task in store.projection(Tasks).newest(1 << 62, 10, Wanted()).rows] == ["t-runs"]
            for body, offset in zip(delivered()[:3], (2, 3, 4), strict=True):
                [receipt] = store.append(drafts_of(body), AT + 100_000).receipts
                assert (receipt.result, receipt.offset) == ("duplicate", offset)
    with closing(open_existing(path)) as look:
        assert verify(look)[1] == []


def test_a_checkout_from_before_the_first_release_can_go_on_with_a_journal_of_this_one(path: Path) -> None:
    """Broken: after a roll-back to it, a replica that was added meanwhile would fail on its first published event."""
    Store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        its_columns = 'sink, "offset", published, dead, absorbed, passed'
        db.execute(f"INSERT INTO checkpoints ({its_columns}) VALUES ('a', 1, 1, 0, 0, 0)")
    with closing(Store(path)) as store:
        assert store.checkpoints() == {"a": SavedCheckpoint(1, 1, 0)}


def test_a_journal_of_a_checkout_is_not_changed_by_looking_into_it(path: Path) -> None:
    """Broken: `relay journal verify` would change the file before it was copied for the way back."""
    made(path, 0).close()
    before = path.read_bytes()
    with pytest.raises(JournalBroken) as refused:
        open_existing(path)
    assert (refused.value.code, path.read_bytes()) == ("journal_version", before)


@pytest.mark.parametrize("version", ["99", "0", "none"])
def test_the_layout_of_another_relay_is_refused_by_all(path: Path, version: str) -> None:
    """Broken: an older relay would misread the journal of a newer one after a roll-back."""
    Store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (version,))
    for opened in (Store, open_existing):
        with pytest.raises(JournalBroken) as refused:
            opened(path)
        assert refused.value.code == "journal_version"
