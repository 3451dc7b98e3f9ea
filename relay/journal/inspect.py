"""Inspects the journal of a stopped relay: its figures, and whether anything in it is wrong.

It changes nothing: it takes the lock and reads, the log with the file, and leaves both as they were.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from relay.core.errors import RelayError
from relay.core.publishing.lineage import Fork
from relay.journal import sql
from relay.journal.check import JournalCheck
from relay.journal.errors import Guard, JournalBroken, translated
from relay.journal.layout import newest
from relay.journal.lock import Lock
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.queries import Queries
from relay.journal.volume import is_new, log_is_there, log_of, not_a_journal, refuse_a_folder, resolved

_SQL = sql.statements("inspect.sql")
_LAST_OFFSET = sql.statements("query.sql")["last_offset"]

Span = tuple[int, int]
"""Offsets from the first to the last, both included."""


@dataclass(frozen=True, slots=True)
class SinkLedger:
    """One sink as the journal saw it last; the counts are since the journal began.

    Of the offsets up to ``offset``, ``published`` are on it, ``dead`` were refused, ``absorbed`` were taken care of by
    another replica, ``passed`` were no events of this sink's. ``pending`` are held beyond ``offset``.
    """

    sink: str
    offset: int
    published: int
    dead: int
    absorbed: int
    passed: int
    pending: int

    @property
    def accepted(self) -> int:
        """Events accepted for this sink, counted by offsets; without what is lost beyond the checkpoint."""
        return self.offset - self.passed + self.pending

    @property
    def unaccounted(self) -> int:
        """Accepted events that no count has; negative: counted twice."""
        return self.offset - self.passed - self.published - self.dead - self.absorbed


@dataclass(frozen=True, slots=True)
class Figures:
    """A journal in numbers. ``size`` in bytes of pages in use, ``oldest_at`` in epoch milliseconds.

    ``missing`` are the offsets of events up to ``last_offset`` that are not held: pruned ones, and holes.
    """

    journal_id: str
    events: int
    first_offset: int | None
    last_offset: int
    oldest_at: int | None
    size: int
    dedup_keys: int
    dead_letters: int
    sinks: tuple[SinkLedger, ...]
    missing: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, and what to do about it."""

    code: str
    message: str
    hint: str


class Stopped(Queries):
    """The journal of a relay that is stopped, to be read. It is locked until it is closed."""

    def __init__(self, path: Path, lock: Lock, check: JournalCheck) -> None:
        self.path = path
        self._lock, self._check = lock, check
        self._guard = Guard(path)
        self._db = check.db
        self._db.execute("PRAGMA temp_store = MEMORY")
        self.journal_id = self._meta("journal_id")
        self.forks = [Fork(*fork) for fork in orjson.loads(self._meta("forks"))]
        self.last_offset: int = self._one(_LAST_OFFSET)

    def close(self) -> None:
        """Lets go of it. Safe to call twice."""
        self._check.close()
        self._lock.release()


def open_existing(path: Path) -> Stopped:
    """Opens a journal that is there; never makes one.

    Raises ``JournalInUse`` while a relay runs on it, ``JournalBroken`` when it cannot be read or is something else,
    ``RelayError`` (``no_journal``) when the file is not there.
    """
    path = resolved(path)
    if not path.exists() and not log_of(path).exists():
        hint = "Name it with --path, or the configuration with --config."
        raise RelayError("no_journal", f"There is no journal {path}.", hint=hint)
    with _advised(), translated(path):
        refuse_a_folder(path)
        lock = Lock(path)
        try:
            return _opened(path, lock)
        except BaseException:
            lock.release()
            raise


def _opened(path: Path, lock: Lock) -> Stopped:
    if not log_is_there(path) and is_new(path):
        raise not_a_journal(path, "empty")
    check = JournalCheck(path)
    try:
        if not check.is_journal():
            raise not_a_journal(path, "the database of another application")
        check.refuse_other_layouts(oldest=newest())
        check.refuse_what_is_lost()
        check.refuse_damaged_notes()
        return Stopped(path, lock, check)
    except BaseException:
        check.close()
        raise


@contextmanager
def _advised() -> Iterator[None]:
    """What is damaged comes with what to do about it now: the usual hint would name the check that is under way."""
    try:
        yield
    except JournalBroken as error:
        if error.code != "journal_broken":
            raise
        raise JournalBroken(error.code, error.message, hint=_RESTORE) from error


def figures(store: Stopped) -> Figures:
    """Counts everything; reads the whole table of events."""
    with translated(store.path):
        db = store._db
        events, first, last, oldest_at = db.execute(_SQL["span"]).fetchone()
        gaps = tuple(db.execute(_SQL["gaps"]).fetchall())
        ledgers = tuple(SinkLedger(*row) for row in db.execute(_SQL["sinks"]))
        dedup_keys: int = db.execute(_SQL["dedup_keys"]).fetchone()[0]
        dead_letters = DeadLetters(db).count()
    return Figures(
        journal_id=store.journal_id,
        events=events,
        first_offset=first,
        last_offset=store.last_offset,
        oldest_at=oldest_at,
        size=store.size(),
        dedup_keys=dedup_keys,
        dead_letters=dead_letters,
        sinks=ledgers,
        missing=_without_events(_not_held(first, last, store.last_offset, gaps), store.forks),
    )


def _not_held(first: int | None, last: int | None, last_offset: int, gaps: tuple[Span, ...]) -> list[Span]:
    if first is None or last is None:
        return [(1, last_offset)]
    return [(1, first - 1), *gaps, (last + 1, last_offset)]


def _without_events(spans: list[Span], forks: Sequence[Fork]) -> tuple[Span, ...]:
    """What is left of the spans without the offsets that no event has had."""
    for fork in forks:
        low, high = fork.gap_after + 1, fork.gap_upto
        spans = (
            [part for start, end in spans for part in ((start, min(end, low - 1)), (max(start, high + 1), end))]
            if low <= high
            else spans
        )
    return tuple((start, end) for start, end in spans if start <= end)


def verify(store: Stopped, sinks: Collection[str] | None = None) -> tuple[Figures | None, list[Finding]]:
    """Reads the whole file. ``sinks`` are the labels that count; ``None``: all that the journal knows.

    What is damaged is not counted any more: then there are findings only.
    """
    try:
        with translated(store.path):
            wrong = store.integrity()
    except JournalBroken as error:
        wrong = [error.message]  # so damaged that the check itself did not get through
    if wrong:
        return None, [Finding("damaged", problem, _RESTORE) for problem in wrong]
    found = figures(store)
    return found, balance(found, sinks)


_RESTORE = (
    "Keep a copy of the file and its -wal, check the disk, then restore the journal from a backup or start relay "
    "with a new journal.path; `relay journal export` saves what can still be read."
)


def balance(found: Figures, sinks: Collection[str] | None = None) -> list[Finding]:
    """The loss balance, accepted = published + pending + dead + absorbed for each sink. Pure.

    An event is lost to a sink when it lies beyond the sink's checkpoint and is not held any more, and something has
    gone wrong when the sink's counts do not add up to its checkpoint.
    """
    findings = []
    for ledger in found.sinks:
        if sinks is not None and ledger.sink not in sinks:
            continue
        findings += [
            _lost(ledger, max(start, ledger.offset + 1), end) for start, end in found.missing if end > ledger.offset
        ]
        if ledger.unaccounted:
            findings.append(_unaccounted(ledger))
    return findings


def _lost(ledger: SinkLedger, start: int, end: int) -> Finding:
    return Finding(
        "events_missing",
        f"Sink {ledger.sink} is at offset {ledger.offset}, and the events {start} to {end} are not in the journal.",
        "This is expected if the sink is no longer configured, or if the journal was restored from an older copy. "
        "Otherwise please report it, and submit or poll those tasks again.",
    )


def _unaccounted(ledger: SinkLedger) -> Finding:
    what = "are in none of the counts" if ledger.unaccounted > 0 else "are counted twice"
    return Finding(
        "unaccounted",
        f"Sink {ledger.sink} is at offset {ledger.offset}, but {abs(ledger.unaccounted)} events up to there {what}"
        " (published, dead, absorbed).",
        "Compare the sink with `relay journal export`, and please report it.",
    )
