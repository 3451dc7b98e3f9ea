"""What became of the events: when each reached each sink, and how often each fact was delivered again.

None of it is worth a sync. It waits in memory and is written in a commit that is made anyway, about once a second, or
by maintenance where none comes for a while. A crash loses the last of it, never an event: then an event is known
to be on a sink, not since when (the sink's checkpoint says that), and counts are too low. While a disk is full, what
cannot be written for long is dropped the same way, so that the memory stays bounded.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Final, Literal, NamedTuple

import orjson

from relay.journal import sql
from relay.journal.plan import Plan
from relay.journal.projection import Projection

EVERY: Final = 1000
"""Milliseconds between two writings that ride on a commit."""

QUIET: Final = 10_000
"""Milliseconds without such a commit after which maintenance makes one."""

MAX_WAITING: Final = 10_000
"""Passages with their exceptions of one sink, and repeated facts, that wait in memory: about 2 MB of each."""

STEP: Final = 1000
"""Repeated facts of one writing: a few milliseconds, during which nothing else is committed."""

_SOON: Final = 100  # milliseconds, while more than that is waiting
_SQL = sql.statements("projections/history.sql")

SettledAs = Literal["dead", "absorbed"]


class Passage(NamedTuple):
    """A sink has settled everything up to ``offset``. ``at``: epoch milliseconds, ``None`` where nobody saw it.

    ``exceptions`` are the offsets that were settled without being published.
    """

    sink: str
    offset: int
    at: int | None
    exceptions: Sequence[tuple[int, SettledAs]] = ()


class Found(NamedTuple):
    """What is noted of one event on one sink: since when, and whether it was settled in another way."""

    at: int | None
    settled_as: SettledAs | None


class Repetition(NamedTuple):
    """How often a fact was reported again in one way. ``offset`` is its event's; instants are epoch milliseconds."""

    offset: int
    via: str
    times: int
    first_at: int
    last_at: int


class _Rewind(NamedTuple):
    """A sink said that it is at ``offset``: what it had beyond is not there."""

    sink: str
    offset: int


@dataclass(slots=True)
class _Waiting:
    """Of one sink. ``rewound_to``: what the tables say beyond that is wrong."""

    rewound_to: int | None = None
    passages: list[Passage] = field(default_factory=list)
    size: int = 0

    def add(self, passage: Passage) -> None:
        if self.size > MAX_WAITING:
            passage = passage._replace(at=None, exceptions=())
            self.passages.clear()
            self.size = 0
        self.passages.append(passage)
        self.size += 1 + len(passage.exceptions)

    def rewind(self, offset: int) -> None:
        self.rewound_to = offset if self.rewound_to is None else min(self.rewound_to, offset)
        keep = bisect_left(self.passages, offset, key=lambda passage: passage.offset)
        beyond = self.passages[keep : keep + 1]
        del self.passages[keep:]
        self.passages += [_shortened(passage, offset) for passage in beyond]
        self.size = sum(1 + len(passage.exceptions) for passage in self.passages)

    def find(self, offset: int) -> Found | None:
        """What a passage that waits says, if there is one."""
        place = bisect_left(self.passages, offset, key=lambda passage: passage.offset)
        if place == len(self.passages):
            return None
        passage = self.passages[place]
        return Found(passage.at, dict(passage.exceptions).get(offset))


class History(Projection):
    """Three tables beside the events. ``passed``, ``rewound`` and the questions may be called from anywhere, at once;
    all else belongs to the journal's thread.

    What waits moves from the memory to the tables in one commit. ``_lock`` is held meanwhile, and by a question until
    it has taken the one and fixed its view of the other: it sees each passage and each repetition once.
    """

    statements = _SQL

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__(db)
        self._lock = RLock()
        self._arrived: deque[Passage | _Rewind] = deque()  # appended to in one thread, emptied in another
        self._sinks: dict[str, _Waiting] = {}
        self._repeated: dict[int, dict[str, Repetition]] = {}
        self._repeated_to_write: list[int] = []
        self._written_at = 0

    def passed(self, passage: Passage) -> None:
        """A sink has settled more."""
        self._arrived.append(passage)

    def rewound(self, sink: str, offset: int) -> None:
        """A sink has said where it is: nothing beyond is there, whatever was noted."""
        self._arrived.append(_Rewind(sink, offset))

    def _repeat(self, offset: int, via: str, now: int) -> None:
        ways = self._repeated.get(offset)
        if ways is None:
            if len(self._repeated) >= MAX_WAITING:
                return
            ways = self._repeated[offset] = {}
        known = ways.get(via)
        first_at = now if known is None else known.first_at
        ways[via] = Repetition(offset, via, 1 if known is None else known.times + 1, first_at, now)

    def committed(self, group: Plan) -> None:
        """Its duplicates are repetitions. While too many wait, new ones are not counted."""
        with self._lock:
            for offset, via in group.repeated:
                self._repeat(offset, via, group.now)

    def is_due(self, now: int, *, idle: bool = False) -> bool:
        """Whether something waits and the last writing is long enough ago, or much waits; or a sink has lost events."""
        with self._lock:
            self._take_in()
        every = QUIET if idle else EVERY
        if len(self._repeated) > STEP or any(waiting.size > STEP for waiting in self._sinks.values()):
            every = _SOON
        is_late = not 0 <= now - self._written_at < every and bool(self._repeated or self._sinks)
        return is_late or (idle and self.stale())

    def stale(self) -> bool:
        """Whether the tables still have times of what a sink has lost: after a crash they would be believed."""
        with self._lock:
            self._take_in()
            rewound = [(sink, waiting.rewound_to) for sink, waiting in self._sinks.items()]
        return any(
            upto is not None and self._db.execute(_SQL["reaches_beyond"], {"sink": sink, "at": upto}).fetchone()[0]
            for sink, upto in rewound
        )

    @contextmanager
    def written(self, now: int) -> Iterator[None]:
        """Writes what waits, inside the caller's transaction, and forgets it at the end, when that is committed.

        Left by an error it forgets nothing: the next writing does the same again.
        """
        with self._lock:
            self._write(now)
            yield
            self._sinks.clear()
            for offset in self._repeated_to_write:
                del self._repeated[offset]
            self._repeated_to_write = []

    def _write(self, now: int) -> None:
        self._take_in()
        for sink, waiting in self._sinks.items():
            if waiting.rewound_to is not None:
                for step in ("shorten_passage", "drop_passages", "drop_exceptions"):
                    self._db.execute(_SQL[step], {"sink": sink, "at": waiting.rewound_to})
        passages = [passage for waiting in self._sinks.values() for passage in waiting.passages]
        exceptions = [(passage.sink, *each) for passage in passages for each in passage.exceptions]
        self._repeated_to_write = list(self._repeated)[:STEP]
        repetitions = [each for offset in self._repeated_to_write for each in self._repeated[offset].values()]
        self._add("add_passages", [passage[:3] for passage in passages])
        self._add("add_exceptions", exceptions)
        self._add("add_repetitions", repetitions)
        self._written_at = now

    def _add(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            self._db.execute(_SQL[statement], (orjson.dumps([tuple(row) for row in rows]).decode(),))

    def prune(self, upto: int) -> None:
        for table in ("passages", "exceptions", "repetitions"):
            self._db.execute(_SQL[f"prune_{table}"], (upto,))

    def rename_sink(self, was: str, label: str) -> None:
        """What is noted of it is noted under its new label."""
        for table in ("passages", "exceptions"):
            self._db.execute(_SQL[f"rename_{table}"], (label, was))

    def _take_in(self) -> None:
        while self._arrived:
            news = self._arrived.popleft()
            waiting = self._sinks.setdefault(news.sink, _Waiting())
            if isinstance(news, Passage):
                waiting.add(news)
            else:
                waiting.rewind(news.offset)

    def passages(self, sink: str, offsets: Sequence[int]) -> dict[int, Found]:
        """What is noted of these events on a sink; those of which nothing is are left out."""
        with _one_view(self._db):
            with self._lock:
                self._take_in()
                waiting = self._sinks.get(sink, _Waiting())
                unsaved = {offset: news for offset in offsets if (news := waiting.find(offset)) is not None}
                upto = waiting.rewound_to
                _fix_view(self._db)
            valid = [offset for offset in offsets if upto is None or offset <= upto]
            rows = self._db.execute(
                _SQL["passages"], {"sink": sink, "offsets": orjson.dumps(valid).decode()}
            ).fetchall()
        found = {offset: Found(at or None, exception) for offset, at, exception in rows if at is not None}
        return unsaved | found

    def repetitions(self, offsets: Sequence[int]) -> list[Repetition]:
        """How often these facts were repeated, in the order of their offsets."""
        with _one_view(self._db):
            with self._lock:
                unsaved = [each for offset in offsets for each in self._repeated.get(offset, {}).values()]
                _fix_view(self._db)
            rows = self._db.execute(_SQL["repetitions"], (orjson.dumps(offsets).decode(),)).fetchall()
        found = {(row[0], row[1]): Repetition(*row) for row in rows}
        for more in unsaved:
            known = found.get((more.offset, more.via), more._replace(times=0))
            found[more.offset, more.via] = more._replace(times=known.times + more.times, first_at=known.first_at)
        return [found[key] for key in sorted(found)]


@contextmanager
def _one_view(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")


def _fix_view(db: sqlite3.Connection) -> None:
    """The transaction sees what is committed by now, and nothing later."""
    db.execute("SELECT 1 FROM meta LIMIT 1").fetchone()


def _shortened(passage: Passage, offset: int) -> Passage:
    exceptions = tuple(each for each in passage.exceptions if each[0] <= offset)
    return passage._replace(offset=min(passage.offset, offset), exceptions=exceptions)
