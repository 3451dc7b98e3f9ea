"""The journal's file: SQLite in WAL mode, written by one connection in one thread.

Durability: ``synchronous=FULL`` syncs the WAL at each commit (https://sqlite.org/pragma.html#pragma_synchronous).
Only this connection commits and checkpoints; all others are opened read-only (docs/adr/0001-journal-sqlite.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import astuple
from functools import lru_cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

import orjson

from relay.clocks import wall_ms
from relay.core.event import Draft, Entry
from relay.core.publishing.lineage import Fork, Names, bounded
from relay.journal import sql
from relay.journal.check import APPLICATION_ID, check_before_opening, read_only
from relay.journal.dedup_index import MERGE_AT, DedupIndex
from relay.journal.errors import VENDOR_ERRORS, Guard, JournalBroken, JournalUnavailable, code_of, disk_full
from relay.journal.event_rows import NAMES, placeholders, row_of
from relay.journal.gauge import Gauge
from relay.journal.layout import make_tables, migrate
from relay.journal.lock import Lock
from relay.journal.plan import Plan
from relay.journal.projection import Projection
from relay.journal.projections import PROJECTIONS
from relay.journal.pruning import Pruning
from relay.journal.reserve import Reserve
from relay.journal.rows import Appended, Progress
from relay.journal.volume import (
    is_new,
    log_of,
    make_folder,
    refuse_a_folder,
    refuse_what_is_read_only,
    resolved,
    sync_folder,
)

P = ParamSpec("P")
T = TypeVar("T")

SQLITE_VERSION = sqlite3.sqlite_version
"""Of the library in use."""

MAX_GROUP = 64
"""Drafts per statement: one prepared statement for each size up to this stays in memory, 50 KB on average."""

_APPEND = sql.statements("append.sql")
_QUERY = sql.statements("query.sql")
_PAGE_BYTES = 4096
_VACUUM_SHARE = 8
"""Of the reserve: what one step of giving pages back may write."""
LOG_STEP = 4 << 20
LOG_OVERDUE = 16 << 20
LOG_FULL = 32 << 20
"""Bytes of the log at which it is moved into the file; at which readers pause for that; at which commits wait for it,
too. With the group under way and a step of maintenance it stays below 64 MiB."""


class Store(Pruning):
    """The open journal file. Synchronous; every method belongs to the one writer thread.

    ``max_pages`` bounds the file for tests of a full disk (``PRAGMA max_page_count``). Raises ``JournalInUse`` or
    ``JournalBroken``, and then has changed nothing.
    """

    def __init__(
        self, path: Path, *, projections: Sequence[type[Projection]] = PROJECTIONS, max_pages: int | None = None
    ) -> None:
        self.path = path = resolved(path)
        self._guard, self._kept = Guard(path), {}
        with self._guard.translated():
            make_folder(path.parent)
            refuse_a_folder(path)
            refuse_what_is_read_only(path)
            self._lock = Lock(path)
            self._reserve = Reserve(path)
            try:
                self._check_files()
                self._db = _connected(path)
                try:
                    self._open(projections, max_pages)
                except BaseException:
                    self._close_with_log()
                    raise
            except BaseException:
                self._lock.release()
                raise
        self._closed = False

    def _check_files(self) -> None:
        """A full disk has no room for the memory that connections share; then the reserve has it."""
        try:
            check_before_opening(self.path)
        except sqlite3.OperationalError as error:
            if code_of(error) not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
                raise
            self._reserve.release()
            check_before_opening(self.path)

    def _open(self, projections: Sequence[type[Projection]], max_pages: int | None) -> None:
        self._prepare(projections, max_pages)
        self._begin()
        self.journal_id = self._meta("journal_id")
        self.forks = [Fork(*fork) for fork in orjson.loads(self._meta("forks"))]
        self.last_offset = self._one(_QUERY["last_offset"])
        self._index = DedupIndex(self._db)
        self._projections = {kind: kind(self._db) for kind in projections}
        # Called for every commit: a hook that does nothing costs nothing.
        self._appliers = [each.apply for each in self._having("apply")]
        self._followers = [each.committed for each in self._having("committed")]
        self._deferring = self._having("is_due")
        self._log = Gauge(log_of(self.path), self._one("PRAGMA page_size"))

    def _prepare(self, projections: Sequence[type[Projection]], max_pages: int | None) -> None:
        if is_new(self.path):
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 0",
            "journal_size_limit = 67108864",
            "cache_size = -12288",
            "temp_store = MEMORY",
            "secure_delete = OFF",  # Debian's builds would write each freed page again, to blank it
            *([f"max_page_count = {max_pages}"] if max_pages else []),
        ):
            self._db.execute("PRAGMA " + pragma)
        new = self._one("SELECT count(*) FROM sqlite_master WHERE name = 'meta'") == 0
        with self._transaction():
            if new:
                self._create()
            else:
                migrate(self._db)
            for kind in projections:
                kind.create(self._db)
        if new:
            sync_folder(self.path.parent)

    def _create(self) -> None:
        make_tables(self._db)
        self._put_meta({"journal_id": uuid4().hex, "merged_offset": "0", "swept_before": "0", "forks": "[]"})
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _begin(self) -> None:
        """Marks the file as in use, in the main file at once: found there without a log, it shows that one was lost."""
        with suppress(JournalUnavailable), self._guard.translated():  # a full disk: the relay starts all the same
            self._mark("open")
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _mark(self, state: str) -> None:
        with self._transaction():
            self._db.execute(_QUERY["put_meta"], ("state", state))

    def close(self) -> None:
        """Moves the WAL into the file and closes. Safe to call twice.

        After a failure it leaves both as they are: the next start recovers from what is really on disk.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._guard.refuse_after_failure()
            self._write_what_waits(self._projections.values(), 0)
            self._mark("closed")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (*VENDOR_ERRORS, JournalBroken):
            # The next start recovers from the WAL just as well, and looks for it where the mark is still "open".
            self._close_with_log()
        finally:
            self._db.close()
            self._log.close()
            if self._reserve.released:
                self._reserve.hold()
            self._lock.release()

    def _close_with_log(self) -> None:
        """The last connection to close moves the log into the file and deletes it, unless it can only read."""
        with suppress(*VENDOR_ERRORS), closing(read_only(self.path)) as last:
            last.execute("SELECT count(*) FROM sqlite_master").fetchone()
            self._db.close()
        self._db.close()

    def append(self, drafts: Sequence[Draft], now: int, progress: Mapping[str, Progress] | None = None) -> Appended:
        """Commits a group durably: when this returns, everything in it is fsynced. ``now`` is epoch milliseconds.

        ``progress`` saves how far the sinks have got in the same transaction. Raises ``JournalUnavailable`` when
        nothing was written, ``JournalBroken`` when the file cannot be trusted any more.
        """
        plan = Plan(self.last_offset, now)
        with self._guard.translated(), ExitStack() as once_committed, self._transaction():
            plan.add_all(drafts, self._index.known)
            for start in range(0, len(plan.entries), MAX_GROUP):
                self._insert(plan.entries[start : start + MAX_GROUP])
            for apply in self._appliers:
                apply(plan)
            for sink, saved in (progress or {}).items():
                counts = (saved.published, saved.dead, saved.absorbed, saved.passed, saved.catch_up_to)
                self._db.execute(_APPEND["save_checkpoint"], (sink, saved.offset, *counts))
            if plan.entries or progress:
                for projection in self._due(now):
                    once_committed.enter_context(projection.written(now))
        for committed in self._followers:
            committed(plan)
        self.last_offset = plan.last_offset
        self._index.add(plan.new_keys, now)
        return Appended(plan.receipts, plan.entries)

    def _insert(self, entries: Sequence[Entry]) -> None:
        values: list[Any] = []
        for entry in entries:
            values += row_of(entry)
        self._db.execute(_insert_events_sql(len(entries)), values)

    def _having(self, hook: str) -> list[Projection]:
        return [
            each for kind, each in self._projections.items() if getattr(kind, hook) is not getattr(Projection, hook)
        ]

    def _due(self, now: int, *, idle: bool = False) -> list[Projection]:
        return [each for each in self._deferring if each.is_due(now, idle=idle)]

    def _write_what_waits(self, projections: Iterable[Projection], now: int) -> None:
        with ExitStack() as once_committed, self._transaction():
            for projection in projections:
                once_committed.enter_context(projection.written(now))

    def execute(self, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a projection's change in a transaction of its own: when this returns, it is fsynced."""
        with self._guard.translated(), self._transaction():
            return change(*args, **kwargs)

    def wal_is_long(self) -> bool:
        """Whether the log has grown by 4 MiB since the last checkpoint was tried; less on a small volume.

        What is in there and the next group have to fit into the reserve, or a full disk could not be pruned.
        """
        return self._log.grown(min(LOG_STEP, self._reserve.size // 4))

    def wal_is_overdue(self) -> bool:
        """Whether checkpoints have not kept it short: somebody is always reading from it."""
        return self._log.reaches(LOG_OVERDUE)

    def checkpoint_wal(self) -> None:
        """Moves the log into the file, as far as no reader needs it; the next commit restarts it if that is all.

        Done between groups rather than inside a commit, where somebody would be waiting for it. Only where the log is
        so long that it must not grow does it wait for the readers: half a second at most.
        """
        mode = "RESTART" if self._log.reaches(LOG_FULL) else "PASSIVE"
        with self._guard.translated():
            self._guard.refuse_after_failure()
            _, frames, _ = self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        self._log.note(frames)

    @property
    def group_bytes(self) -> int:
        """Bytes of events that one commit may hold: see ``wal_is_long``."""
        return self._reserve.size // 2

    def hold_reserve(self) -> None:
        """Takes room on the disk for maintenance. Raises ``JournalUnavailable`` where there is none."""
        if not self._reserve.hold():
            raise disk_full(self.path)

    def make_room(self) -> None:
        """Gives the reserve to maintenance, and what that has freed to the disk.

        Nobody else may write meanwhile. Raises ``JournalUnavailable`` where even that finds no room.
        """
        self._reserve.release()
        with self._guard.translated():
            self._guard.refuse_after_failure()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            step = max(self._reserve.size // _VACUUM_SHARE // int(self._one("PRAGMA page_size")), 1)
            free = int(self._one("PRAGMA freelist_count"))
            while free > 0:
                self._vacuum(step)
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                left = int(self._one("PRAGMA freelist_count"))
                if left >= free:
                    break
                free = left

    def regain_room(self) -> None:
        """Takes the reserve again, proves that there is more room than that, and that a commit works.

        Raises ``JournalUnavailable`` where that is not so: the disk is still full.
        """
        if not self._reserve.hold(spare=self._reserve.size // 2):
            self._reserve.hold()  # or somebody else on this disk takes it
            raise disk_full(self.path)
        with self._guard.translated(), self._transaction():
            self._db.execute(_QUERY["put_meta"], ("room_regained", str(wall_ms())))

    def merge_is_due(self) -> bool:
        """Whether enough dedup keys have gathered in memory."""
        return self._index.waiting() >= MERGE_AT

    def merge_dedup(self) -> int:
        """One step of merging gathered dedup keys into the table; answers how many keys are left of the merge."""
        with self._guard.translated():
            with self._transaction():
                left = self._index.merge_step(self.last_offset)
            self._index.step_committed(left)
        return left

    @property
    def swept(self) -> bytes:
        """Where the next sweep goes on, as far as it is noted."""
        return self._index.swept

    def sweep_dedup(self, after: bytes, *, older_than: int, step: int = 2000) -> bytes:
        """Forgets facts seen before ``older_than`` among the next ``step`` keys; answers where to go on."""
        with self._guard.translated(), self._transaction():
            return self._index.sweep(after, older_than=older_than, step=step)

    def write_what_waits(self, now: int) -> None:
        """Writes what projections have in memory, where no commit has taken it along for a while.

        ``now``: epoch milliseconds. Raises ``JournalUnavailable`` while the disk is full; it waits on then.
        """
        with self._guard.translated():
            if due := self._due(now, idle=True):
                self._write_what_waits(due, now)

    def fork(
        self,
        at: int,
        beyond: int,
        published: Mapping[str, int] | None = None,
        *,
        names: Names | None = None,
        renamed: Mapping[str, str] | None = None,
        meta: Mapping[str, str] | None = None,
    ) -> None:
        """Gives the journal a new id that shares its past up to ``at``; the next offset lies past ``beyond``.

        For a file that turned out to be an older copy: offsets after ``at`` have meant other events before, except
        on a sink which got them from this very file: up to ``published``. And for one that is published under other
        names from now on: ``names`` are those of before, ``renamed`` the sinks' labels that have a new one; ``meta`` is
        noted in the same transaction.
        """
        journal_id, last_offset = uuid4().hex, max(self.last_offset, beyond)
        before = names or Names()
        fork = Fork(
            self.journal_id, at, self.last_offset, last_offset, dict(published or {}), before.identity, before.sinks
        )
        forks = bounded([*self.forks, fork])
        with self._guard.translated(), self._transaction():
            known = orjson.dumps([astuple(fork) for fork in forks]).decode()
            self._put_meta({"journal_id": journal_id, "forks": known, **(meta or {})})
            self._db.execute(_QUERY["forget_last_offset"])
            self._db.execute(_QUERY["save_last_offset"], (last_offset,))
            for was, label in (renamed or {}).items():
                self._db.execute(_QUERY["rename_checkpoint"], (label, was))
                for projection in self._projections.values():
                    projection.rename_sink(was, label)
        self.journal_id, self.forks, self.last_offset = journal_id, forks, last_offset

    def keep_meta(self, values: Mapping[str, str]) -> None:
        """Notes these, durably."""
        with self._guard.translated(), self._transaction():
            self._put_meta(values)

    def _put_meta(self, values: Mapping[str, str]) -> None:
        self._db.executemany(_QUERY["put_meta"], list(values.items()))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._guard.refuse_after_failure()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk has rolled back by itself; going on would commit the rest row by row.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _connected(path: Path) -> sqlite3.Connection:
    """Opened in one thread, used in another, never by two at once."""
    return sqlite3.connect(
        path, isolation_level=None, cached_statements=4 * MAX_GROUP, check_same_thread=False, timeout=0.5
    )


@lru_cache(maxsize=MAX_GROUP)
def _insert_events_sql(count: int) -> str:
    return _APPEND["insert_events"].format(names=NAMES, rows=placeholders(count))
