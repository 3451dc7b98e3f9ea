"""The journal's tables: made in a new file, completed in one that an earlier release made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from relay.journal import history, sql

_SQL = sql.statements("layout.sql")
_LATER: Final = (*(statement for name, statement in _SQL.items() if name.startswith("index_")), *history.CREATE)


def make_tables(db: sqlite3.Connection) -> None:
    """In a new file, inside the caller's transaction."""
    for statement in (*_split(sql.text("schema.sql")), *_LATER):
        db.execute(statement)


def complete_tables(db: sqlite3.Connection) -> None:
    """Adds what is missing; writes nothing where all is there. Inside the caller's transaction."""
    if not _has_column(db, "events", "crc"):
        db.execute(_SQL["add_crc"])
    if not _has_column(db, "checkpoints", "catch_up_to"):
        db.execute(_SQL["add_catch_up"])
    if not _has_column(db, "dead_letters", "subject"):
        db.execute(_SQL["add_dead_subject"])
        db.execute(_SQL["fill_dead_subject"])
    for statement in _LATER:
        db.execute(statement)


def views_of_older_tables(db: sqlite3.Connection) -> Iterator[str]:
    """What makes a journal of an earlier release readable as it is, on a connection that cannot change it."""
    if not _has_column(db, "events", "crc"):
        yield _SQL["view_without_crc"]
    if not _has_column(db, "checkpoints", "catch_up_to"):
        yield _SQL["view_without_catch_up"]


def _has_column(db: sqlite3.Connection, table: str, column: str) -> bool:
    found = db.execute("SELECT count(*) FROM pragma_table_info(?) WHERE name = ?", (table, column)).fetchone()
    return bool(found[0])


def _split(script: str) -> list[str]:
    """The statements of a script, one by one: ``executescript`` would commit between them."""
    found, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found
