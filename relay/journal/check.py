"""Checks a journal that nobody has open, and decides whether it can be trusted. It changes nothing.

Each start begins with one, so that a start which refuses leaves the files as they were. SQLite recovers the log into
its shared memory only while every connection is read-only: nothing is moved into the file, and no log deleted.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson

from relay.core.publishing.lineage import Fork
from relay.journal.dedup_index import unrecognized
from relay.journal.errors import JournalBroken, code_of
from relay.journal.layout import newest, version_of
from relay.journal.volume import (
    damaged,
    is_new,
    log_is_there,
    log_lost,
    not_a_journal,
    refuse_damaged_log,
    shared_of,
)

APPLICATION_ID: Final = 0x52_4C_4A_31
"""``RLJ1``, https://www.sqlite.org/fileformat2.html#application_id"""

_CHECKED_AT_START: Final = 256 << 20
"""Bytes of pages that are looked through at each start: 0.4 s. `relay journal verify` looks through any number."""

_TABLES: Final = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('meta', 'events', 'checkpoints')"
_ANY_TABLES: Final = "SELECT count(*) FROM sqlite_master"
_CHECKOUTS_TABLE: Final = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'open_streams'"
"""Until 0.1.0 journals had no application id; no other database has this table beside those of a journal."""
_RECOVERED: Final = 16
"""Where the shared memory says how many frames of the log are valid: https://www.sqlite.org/walformat.html#hdr"""


def read_only(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """A connection that can neither write nor check point. It may be used in any thread, by one at a time.

    ``alone``: nobody has the file open and there is no log; then not even the shared memory is made.
    """
    mode = "mode=ro&immutable=1" if alone else "mode=ro"
    return sqlite3.connect(
        f"{path.as_uri()}?{mode}", uri=True, timeout=0.5, isolation_level=None, check_same_thread=False
    )


class JournalCheck:
    """The file with its log, opened for reading. The caller holds the lock, and closes before anybody writes.

    Raises ``JournalBroken`` where acknowledged events are missing or may be, ``sqlite3.Error``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._has_log = log_is_there(path)
        self._shared_was_there = shared_of(path).exists()
        self._shared: int | None = None
        self.db = read_only(path, alone=not self._has_log)
        try:
            self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # this is what recovers the log
            if self._has_log:
                refuse_damaged_log(path, self._recovered())
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.DatabaseError) and code_of(error) == sqlite3.SQLITE_NOTADB:
                raise not_a_journal(path, "no SQLite database, or its first page is damaged") from error
            raise

    def _recovered(self) -> int:
        # Closed only after the connection: closing it now would let go of SQLite's own locks on that file.
        self._shared = os.open(shared_of(self.path), os.O_RDONLY | os.O_CLOEXEC)
        frames: int = struct.unpack("=I", os.pread(self._shared, 4, _RECOVERED))[0]
        return frames

    def is_journal(self) -> bool:
        """Whether the tables are there."""
        return bool(self.db.execute(_TABLES).fetchone()[0] == 3)

    def refuse_what_is_foreign(self) -> None:
        """Raises ``JournalBroken`` where the file is the database of another application."""
        of_a_checkout = self.is_journal() and self._one(_CHECKOUTS_TABLE)
        known = {0, APPLICATION_ID} if of_a_checkout or not self._one(_ANY_TABLES) else {APPLICATION_ID}
        if self._one("PRAGMA application_id") not in known:
            raise not_a_journal(self.path, "the database of another application")

    def refuse_what_is_lost(self) -> None:
        """Raises ``JournalBroken`` where the log that must be there is gone."""
        if not self._has_log and ("state", "open") in self.db.execute("SELECT key, value FROM meta"):
            raise log_lost(self.path)

    def refuse_other_layouts(self, oldest: int) -> None:
        """Raises ``JournalBroken`` where the layout is older than that, or of a later release."""
        found = version_of(self.db)
        if found > newest() or found < 0:
            raise JournalBroken(
                "journal_version",
                f"{self.path} has layout {found}; this release knows layouts up to {newest()}.",
                hint="Run the release that wrote it until it is drained, or set another journal.path.",
            )
        if found < oldest:
            raise JournalBroken(
                "journal_version",
                f"{self.path} has layout {found}; this command needs layout {oldest}.",
                hint="Start this release on it once to migrate it, or use the release that wrote it.",
            )

    def refuse_damaged_pages(self) -> None:
        """Raises ``JournalBroken`` where SQLite's own check finds any; a large file is not checked."""
        if self._is_large():
            return
        problems = [row[0] for row in self.db.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
        if problems:
            raise damaged(self.path, problems)

    def refuse_damaged_notes(self) -> None:
        """Raises ``JournalBroken`` where what is noted of the journal as a whole cannot be read."""
        notes = dict(self.db.execute("SELECT key, value FROM meta"))
        try:
            int(notes["merged_offset"])
            bytes.fromhex(notes.get("swept", ""))
            for fork in orjson.loads(notes["forks"]):
                Fork(*fork)
        except (LookupError, TypeError, ValueError) as error:
            raise damaged(self.path, ["its metadata cannot be read"]) from error

    def refuse_forgotten_facts(self) -> None:
        """Raises ``JournalBroken`` where an event would be taken again; a large file is not checked."""
        if not self._is_large() and (offset := unrecognized(self.db)) is not None:
            raise damaged(self.path, [f"the dedup index does not have event {offset} as it was written"])

    def _is_large(self) -> bool:
        return bool(self._one("PRAGMA page_count") * self._one("PRAGMA page_size") > _CHECKED_AT_START)

    def _one(self, statement: str) -> Any:
        return self.db.execute(statement).fetchone()[0]

    def close(self) -> None:
        """Leaves nothing behind. Safe to call twice."""
        self.db.close()
        if self._shared is not None:
            os.close(self._shared)
            self._shared = None
        if not self._shared_was_there:
            shared_of(self.path).unlink(missing_ok=True)


def check_before_opening(path: Path) -> None:
    """Refuses a journal that has lost what it acknowledged, or may have. A new one is not checked.

    Raises ``JournalBroken``, ``sqlite3.Error``.
    """
    if not log_is_there(path) and is_new(path):
        return
    with closing(JournalCheck(path)) as check:
        check.refuse_damaged_pages()
        check.refuse_what_is_foreign()
        if check.is_journal():
            check.refuse_other_layouts(oldest=0)
            check.refuse_what_is_lost()
            check.refuse_damaged_notes()
            check.refuse_forgotten_facts()
