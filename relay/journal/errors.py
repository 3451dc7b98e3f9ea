"""What can go wrong with the journal, such as a full disk: vendor errors become relay's here, each with what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from relay.core.errors import RelayError

_FATAL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


VENDOR_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What the library raises; the latter where an error of SQLite's quotes damaged bytes of the file that are no text."""

DISK_FULL = "disk_full"
"""Code of a ``JournalUnavailable``: the journal accepts nothing until there is room again."""


class JournalUnavailable(RelayError):
    """Nothing of the group was written, and it may work later (disk full). Senders are asked to come back."""

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(code, message, hint=hint, retriable=True)


class JournalBroken(RelayError):
    """The file or the disk under it cannot be trusted any more: no further 2xx, the process has to end.

    After a failed fsync Linux may drop the dirty pages and report success the next time; only a restart, which
    recovers from what is really on disk, is safe (https://wiki.postgresql.org/wiki/Fsync_Errors).
    """


class JournalInUse(RelayError):
    """Another process holds the journal."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Vendor errors stop here and come out as ours, with what to do about them."""
    try:
        yield
    except VENDOR_ERRORS as error:
        raise _ours(error, path) from error
    except OSError as error:
        raise JournalBroken(
            "journal_unreachable",
            f"The journal {path} cannot be opened: {error.strerror}.",
            hint="Check journal.path, the volume and its permissions.",
        ) from error


class Guard:
    """Translates the errors of one open file, and remembers the one after which nothing may be written to it.

    The kernel reports a failed sync once. It may have dropped the pages, and what is synced after it succeeds all the
    same: no later success can be believed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failure: JournalBroken | None = None

    @contextmanager
    def translated(self) -> Iterator[None]:
        """See ``translated``. Raises ``JournalUnavailable``, ``JournalInUse`` or ``JournalBroken``."""
        try:
            with translated(self._path):
                yield
        except JournalBroken as error:
            self._failure = self._failure or error
            raise

    def refuse_after_failure(self) -> None:
        """To be called before each write. Raises the first ``JournalBroken`` again, if there was one."""
        if self._failure is not None:
            raise self._failure


def code_of(error: sqlite3.Error) -> int:
    """SQLite's extended result code; 0 for what the module raises itself, such as text that is not UTF-8."""
    return getattr(error, "sqlite_errorcode", 0) or 0


def disk_full(path: Path) -> JournalUnavailable:
    """Nothing more can be written, until there is room again."""
    return JournalUnavailable(
        DISK_FULL,
        f"The disk under the journal {path} is full.",
        hint="Free or enlarge the volume, or lower journal.retention; relay resumes by itself.",
    )


def in_use(path: Path) -> JournalInUse:
    return JournalInUse(
        "journal_in_use",
        f"The journal {path} is in use by another process.",
        hint="One relay per journal: stop the other one, or give this one its own journal.path.",
    )


def _ours(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> RelayError:
    if isinstance(error, UnicodeDecodeError) or "decode to UTF-8" in str(error):
        return _broken(path, "a damaged page has bytes where text should be")
    code = code_of(error)
    primary = code & 0xFF
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if primary == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:  # no room for what is known of the log
        return disk_full(path)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return in_use(path)
    if primary in _FATAL or primary == sqlite3.SQLITE_CANTOPEN or primary == sqlite3.SQLITE_READONLY:
        return _broken(path, f"{error} ({name})")
    return JournalBroken("journal_error", f"The journal {path} failed: {error} ({name}).", hint="Please report this.")


def _broken(path: Path, why: str) -> JournalBroken:
    return JournalBroken(
        "journal_broken",
        f"The journal {path} cannot be used: {why}.",
        hint="Check the disk, then run `relay journal verify`; a restart recovers what was acknowledged.",
    )
