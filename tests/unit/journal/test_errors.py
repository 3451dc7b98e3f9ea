from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.core.errors import RelayError
from relay.journal.errors import JournalBroken, JournalInUse, JournalUnavailable, translated
from relay.journal.inspect import open_existing
from relay.journal.store import Store

PATH = Path("relay.db")


def failing(code: int | None) -> sqlite3.Error:
    error = sqlite3.OperationalError("it failed")
    if code is not None:
        error.sqlite_errorcode = code
        error.sqlite_errorname = "SQLITE_X"
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, JournalUnavailable),
        (sqlite3.SQLITE_IOERR_SHMSIZE, JournalUnavailable),
        (sqlite3.SQLITE_BUSY, JournalInUse),
        (sqlite3.SQLITE_LOCKED, JournalInUse),
        (sqlite3.SQLITE_IOERR_FSYNC, JournalBroken),
        (sqlite3.SQLITE_IOERR_WRITE, JournalBroken),
        (sqlite3.SQLITE_CORRUPT, JournalBroken),
        (sqlite3.SQLITE_NOTADB, JournalBroken),
        (sqlite3.SQLITE_CANTOPEN, JournalBroken),
        (sqlite3.SQLITE_READONLY, JournalBroken),
        (None, JournalBroken),
    ],
)
def test_only_a_full_disk_is_worth_another_try(code: int | None, kind: type[RelayError]) -> None:
    """Broken: after a failed fsync the relay would try again and believe a false success."""
    with pytest.raises(kind) as raised, translated(PATH):
        raise failing(code)
    assert raised.value.retriable == (kind is JournalUnavailable)
    assert raised.value.hint
    assert "relay.db" in str(raised.value)


@pytest.mark.parametrize(
    ("code", "reported_as"),
    [
        (sqlite3.SQLITE_READONLY, "journal_broken"),
        (sqlite3.SQLITE_CANTOPEN, "journal_broken"),
        (sqlite3.SQLITE_ERROR, "journal_error"),
        (None, "journal_error"),
    ],
)
def test_a_bug_is_not_taken_for_a_broken_disk(code: int | None, reported_as: str) -> None:
    """Broken: an operator would look at the disk for a fault of ours, or report a broken disk as a fault of ours."""
    with pytest.raises(JournalBroken) as raised, translated(PATH):
        raise failing(code)
    assert raised.value.code == reported_as


def test_what_the_operating_system_refuses_is_reported_with_a_hint() -> None:
    """Broken: a missing permission on the volume would end in a traceback."""
    with pytest.raises(JournalBroken, match="permissions"), translated(PATH):
        raise PermissionError(13, "Permission denied")


def test_an_error_that_quotes_damaged_bytes_is_reported_like_any_other(tmp_path: Path) -> None:
    """Broken: some damaged journals would end the relay in a traceback about Unicode, with no word of what to do."""
    path = tmp_path / "relay.db"
    Store(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET name = CAST(X'a6' AS TEXT), sql = 'damaged' WHERE name = 'events'")
    for opened in (Store, open_existing):
        with pytest.raises(JournalBroken, match=r"relay\.db") as raised:
            opened(path)
        assert raised.value.code == "journal_broken"
        assert raised.value.hint
