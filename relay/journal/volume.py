"""The journal's files and their folder: created so that they survive a power cut, and refused if something is wrong.

A journal that lost what it had acknowledged must not start as if nothing had happened. What shows is refused, with
what to do; what cannot show is in docs/adr/0003-damaged-journals.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from relay.journal.errors import JournalBroken
from relay.journal.wal import damage

_SQLITE: Final = b"SQLite format 3\0"
_ROLLBACK: Final = bytes.fromhex("d9d505f920a163d7")
_PAGES_AT: Final = slice(16, 20)
_ACCEPT = "UPDATE meta SET value = 'closed' WHERE key = 'state'"
_RESTORE = "Check the disk, then restore the journal from a copy, or set another journal.path to start a new one"


def resolved(path: Path) -> Path:
    """The one path of a journal, whatever links lead to it. SQLite resolves them, so everybody has to."""
    return Path(os.path.realpath(path))


def free_bytes(folder: Path) -> int | None:
    """What the disk under a folder still takes from this user, in bytes; ``None`` where nobody can say."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize  # not f_bfree: file systems hold blocks back that only root may use


def log_of(path: Path) -> Path:
    """The write-ahead log of a journal."""
    return path.with_name(path.name + "-wal")


def shared_of(path: Path) -> Path:
    """Where SQLite's connections keep what they know of the log together. Made by the first one at each start."""
    return path.with_name(path.name + "-shm")


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it. Each new name is synced in the folder that holds it.

    Otherwise a power cut may take away the folder of a journal whose own writes were all synced.
    """
    if folder.exists():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def refuse_what_is_read_only(path: Path) -> None:
    """Raises ``JournalBroken`` where nothing may be written; SQLite would call it an I/O error."""
    for place in (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise JournalBroken(
                "journal_read_only",
                f"{place} cannot be written to: its volume is mounted read-only or belongs to another user.",
                hint="Find out why (mount, ls -l; a failing disk turns read-only), and mount it read-write again.",
            )


def not_a_journal(path: Path, what: str, hint: str = "") -> JournalBroken:
    """Something else is there."""
    return JournalBroken(
        "not_a_journal",
        f"{path} is not a relay journal: it is {what}.",
        hint=hint or "Set another journal.path (--path for `relay journal`); the file was not changed.",
    )


def refuse_a_folder(path: Path) -> None:
    """Raises ``JournalBroken`` where a folder stands instead of the file: SQLite would call it an I/O error."""
    if path.is_dir():
        raise not_a_journal(path, "a folder", f"Name a file in it as journal.path, like {path / 'relay.db'}.")


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_new(path: Path) -> bool:
    """Whether nothing has ever been committed there: no file, an empty one, or one that a power cut left half made.

    The rollback journal beside a half-made file says that it had no pages, so SQLite empties it before anything else:
    https://www.sqlite.org/fileformat2.html#the_rollback_journal
    """
    if not path.exists() or path.stat().st_size == 0:
        return True
    begin = _begin_of(path.with_name(path.name + "-journal"), _PAGES_AT.stop)
    half_made = begin.startswith(_ROLLBACK) and begin[_PAGES_AT] == bytes(4)
    return half_made and _begin_of(path, len(_SQLITE)) != _SQLITE


def _begin_of(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except FileNotFoundError:
        return b""


def log_is_there(path: Path) -> bool:
    """Whether there is a log to recover from.

    Raises ``JournalBroken`` where its file is gone: SQLite would empty the log without a word.
    """
    log = log_of(path)
    if not log.exists() or log.stat().st_size == 0:
        return False
    if not path.exists() or path.stat().st_size == 0:
        raise JournalBroken(
            "journal_incomplete",
            f"{log} exists, but {path} is missing or empty: the two belong together.",
            hint="Restore the missing file, or move the -wal file away to start with an empty journal.",
        )
    return True


def refuse_damaged_log(path: Path, recovered: int) -> None:
    """Raises ``JournalBroken`` where SQLite has ended its recovery in the middle of the log.

    ``recovered`` are the frames that it took. It would drop the acknowledged events behind them without a word.
    """
    log = log_of(path)
    found = damage(log, recovered)
    if found is not None:
        raise JournalBroken(
            "journal_damaged",
            f"Frame {found.frame} of {found.frames} in {log} is damaged, and acknowledged events follow it.",
            hint="Check the disk, and restore both files from a copy if there is one. To go on without what follows,"
            f" keep a copy of both and cut the log off: truncate -s {found.keep} {log}",
        )


def missing(path: Path) -> JournalBroken:
    """The journal is to be there, and is not: its volume is not mounted, as a rule."""
    return JournalBroken(
        "journal_missing",
        f"There is no journal {path}, although journal.must_exist is set.",
        hint="Mount its volume. To start with an empty journal, start once with RELAY_JOURNAL__MUST_EXIST=false.",
    )


def log_lost(path: Path) -> JournalBroken:
    """The relay did not stop in an orderly way, yet the log that it must have left is gone."""
    return JournalBroken(
        "journal_incomplete",
        f"{path} was in use when its relay ended, but {log_of(path)} is missing: it holds the events accepted last.",
        hint=f'Restore the missing file. To go on without it, keep a copy and run: sqlite3 {path} "{_ACCEPT}"',
    )


def damaged(path: Path, problems: Sequence[str]) -> JournalBroken:
    """SQLite's own check found pages that cannot be right."""
    return JournalBroken(
        "journal_damaged",
        f"The journal {path} is damaged: {'; '.join(problems)}.",
        hint=f"{_RESTORE}; `relay journal export` saves what can still be read.",
    )


def garbled(path: Path, what: str) -> JournalBroken:
    """An event is not what was accepted; it is not published, and those behind it wait, for they are in order."""
    return JournalBroken(
        "journal_damaged",
        f"{what} in the journal {path} has changed since it was written.",
        hint=f"{_RESTORE}; `relay journal verify` names what is damaged.",
    )
