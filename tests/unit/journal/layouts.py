"""What makes the tables of each version of the journal's layout, ``layout-1.sql`` those of version 1.

``python -m tests.unit.journal.layouts`` writes that of the present version, as long as it is not released.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from relay.journal.layout import newest
from relay.journal.store import Store

_OBJECTS = "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type <> 'table', name"


def file_of(version: int) -> Path:
    """The one of a version."""
    return Path(__file__).with_name(f"layout-{version}.sql")


def present() -> str:
    """That of a new journal, as SQLite has kept it: one statement a line, without the comments."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "relay.db")
        Store(path).close()
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute(_OBJECTS).fetchall()
    return "".join(f"{_on_one_line(statement)};\n" for (statement,) in rows)


def _on_one_line(statement: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"--.*", "", statement)).strip()


if __name__ == "__main__":
    file_of(newest()).write_text(present())
