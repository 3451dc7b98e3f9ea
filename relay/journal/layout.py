"""The layout of the journal's file: a new file gets the current one, an older file is migrated to it.

``migrations.sql`` holds what leads from each version to the next. It is run once, in the transaction that notes the new
version. A table that is new as a whole needs none beyond its number: its owner makes it where it is missing.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from relay.journal import sql
from relay.journal.event_rows import DECLARED

MIGRATIONS: Final = sql.statements("migrations.sql")
"""``to_1`` leads from version 0 to version 1, and so on, without a gap. 0: of a checkout from before 0.1.0."""


def newest() -> int:
    """The version of the layout that this relay writes."""
    return len(MIGRATIONS)


def make_tables(db: sqlite3.Connection) -> None:
    """In a new file, inside the caller's transaction."""
    _run(db, sql.text("schema.sql").format(event_columns=DECLARED))
    db.execute("INSERT INTO meta VALUES ('schema_version', ?)", (str(newest()),))


def migrate(db: sqlite3.Connection) -> None:
    """Brings an older file up to the present layout, inside the caller's transaction. Writes nothing where it is."""
    for version in range(version_of(db) + 1, newest() + 1):
        _run(db, MIGRATIONS[f"to_{version}"])
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (str(version),))


def version_of(db: sqlite3.Connection) -> int:
    """The version of a file's layout; -1: it states no valid one. Files of version 0 state 1, and have no id."""
    found = db.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    stated = int(found[0]) if found and found[0].isdecimal() else 0
    if stated == 1 and db.execute("PRAGMA application_id").fetchone() == (0,):
        return 0
    return stated or -1


def _run(db: sqlite3.Connection, script: str) -> None:
    """Statement by statement: ``executescript`` would commit first."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            db.execute(pending)
            pending = ""
