"""The tables of a new journal, and of one that an earlier release made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from relay.core.dead import refused_draft
from relay.core.sink import Refused
from relay.journal.inspect import open_existing, verify
from relay.journal.layout import complete_tables, make_tables
from relay.journal.rows import Progress, SavedCheckpoint
from relay.journal.store import Store
from tests.unit.drafts import dead_draft, draft


def layout(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")}


def test_a_new_journal_lacks_nothing() -> None:
    """Each start would write to the file, or build an index over all events."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    make_tables(db)
    made, version = layout(db), db.execute("PRAGMA schema_version").fetchone()
    complete_tables(db)
    assert (layout(db), db.execute("PRAGMA schema_version").fetchone()) == (made, version)


def test_a_journal_of_before_learns_what_its_dead_letters_are_about(path: Path) -> None:
    """After an upgrade the relay would not start, or refused events would be missing from their task's story."""
    store = Store(path)
    store.append([draft("a")], 1)
    [entry] = store.read(0, 1, 1 << 20)
    refused = refused_draft(entry, Refused("too_large", "?"), origin="kafka", refused_at=1)
    store.append([refused, dead_draft()], 2)
    columns = "id, origin, reason, detail, raw, accepted_at, event_offset, event"
    store._db.execute(f"CREATE TABLE before AS SELECT {columns} FROM dead_letters")
    store._db.execute("DROP TABLE dead_letters")
    store._db.execute("ALTER TABLE before RENAME TO dead_letters")
    for table in ("passages", "passage_exceptions", "repetitions"):
        store._db.execute(f"DROP TABLE {table}")
    store.close()
    again = Store(path)
    assert [letter.id for letter in again.dead_letters_about("a", 10)] == [refused.event.id]
    assert again.dead_letters_about("dead-1", 10) == []
    again.append([dead_draft("dead-2")], 3)
    assert [letter.subject for letter in again.dead_letters_about("dead-2", 10)] == ["dead-2"]
    again.close()


def test_a_journal_of_before_is_looked_into_as_it_is_and_learns_what_is_history(path: Path) -> None:
    """After an upgrade, verifying a journal would fail on one that no newer relay has opened yet."""
    store = Store(path)
    store.append([draft("a")], 1, {"kafka": Progress(1, 1, 0)})
    store._db.execute("ALTER TABLE checkpoints DROP COLUMN catch_up_to")
    store.close()
    with closing(open_existing(path)) as look:
        assert verify(look)[1] == []
    again = Store(path)
    assert again.checkpoints() == {"kafka": SavedCheckpoint(1, published=1)}
    again.close()
