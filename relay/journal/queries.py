"""The queries on an open journal, on one connection. Nothing here writes."""

from __future__ import annotations

import sqlite3
import sys
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import orjson

from relay.core.event import Entry
from relay.core.event_filter import EventFilter
from relay.journal import sql
from relay.journal.dedup_index import unrecognized
from relay.journal.errors import Guard, JournalBroken
from relay.journal.event_rows import IN_COLUMNS, NAMES, entries_of, entry_of
from relay.journal.offset_counter import Addressed
from relay.journal.rows import SavedCheckpoint
from relay.journal.volume import garbled

_QUERY = sql.statements("query.sql")
_LARGE = 16 << 10
"""Bytes of data of the first event of a page, from which on its events are read row by row."""

_OFFSET = itemgetter(0)
_MOST_LARGE = 256
"""Events of such a page: each row is a hand-over of the interpreter lock."""

SCAN: Final = 50_000
"""Offsets that one look backwards goes through at most: some 20 ms of a reader, whatever is wanted of them."""

MOST_DIGESTS: Final = 2_000
DIGESTED_BYTES: Final = 8 << 20
"""Events, and bytes of their data, of which one look makes digests: some 20 ms more."""


_BLOCK: Final = 10_000
"""Offsets of which a connection may keep where wanted events are."""

_SPARSE: Final = 2_000
"""Of them, that many at most: where more are wanted, it is their digests that take the time."""

_MOST_KEPT: Final = 128
"""Such blocks: 4 MB of a connection at most. A look through half a million offsets goes through 50."""


class Newest(NamedTuple):
    """Wanted entries, newest first; ``next``: below which offset to go on, ``None``: there are no more."""

    entries: list[Entry]
    next: int | None


SubjectKind = Literal["task", "chat", "delivery"]
"""What a subject is; a delivery that could not be read is its own."""


class Subjects(NamedTuple):
    """Subjects with their kinds; ``next``: below which offset to go on, ``None``: there are no more events."""

    found: list[tuple[str, SubjectKind]]
    next: int | None


class Digest(NamedTuple):
    """An event by some values out of its data: ``None`` where there is none, or where SQLite cannot read it.

    ``accepted_at`` is epoch milliseconds.
    """

    offset: int
    accepted_at: int
    type: str
    subject: str
    values: Sequence[Any]


class Digests(NamedTuple):
    """Those of wanted events, newest first; ``next`` as in ``Newest``."""

    found: list[Digest]
    next: int | None


@dataclass(frozen=True, slots=True)
class _Page:
    """The statements of one way to choose events."""

    first_size: str
    page: str
    rows: str


def _page(which: str) -> _Page:
    fits = _QUERY["fits"].format(which=which)
    filled = {"which": which, "fits": fits, "names": NAMES, "in_columns": IN_COLUMNS}
    return _Page(*(_QUERY[name].format_map(filled) for name in ("first_size", "page", "rows")))


_AFTER = _page('"offset" > :after')
_AMONG = _page('"offset" IN (SELECT value FROM json_each(:offsets))')


class Queries:
    """The questions, for a connection that belongs to one thread at a time. ``last_offset`` is the last given out."""

    path: Path
    last_offset: int
    _guard: Guard
    _db: sqlite3.Connection
    _kept: dict[tuple[int, str | None, str | None], array[int] | None]

    def read(self, after: int, limit: int, max_bytes: int) -> list[Entry]:
        """The entries after an offset, at most ``limit`` of them and ``max_bytes`` of data (but at least one)."""
        return self._entries(_AFTER, {"after": after}, limit, max_bytes)

    def pick(self, offsets: Sequence[int], max_bytes: int) -> list[Entry]:
        """Those of the entries that are held, in order: as many as have ``max_bytes`` of data (but at least one)."""
        return self._entries(_AMONG, {"offsets": orjson.dumps(offsets).decode()}, len(offsets), max_bytes)

    def newest(self, before: int, wanted: EventFilter, first: int, limit: int, max_bytes: int) -> Newest:
        """Wanted entries from ``first`` to below an offset, newest first, whatever their times.

        At most ``limit`` and ``max_bytes`` of data (but at least one). It looks through ``SCAN`` offsets; so there may
        be none, and more further down.
        """
        offsets, following = self._places(before, wanted, first, min(limit, _MOST_LARGE), max_bytes)
        return Newest(self._picked(offsets), following)

    def digests(
        self, before: int, wanted: EventFilter, first: int, paths: Sequence[str], limit: int = MOST_DIGESTS
    ) -> Digests:
        """Digests of wanted events from ``first`` to below an offset, newest first, looked for as ``newest`` does.

        ``paths`` are two or more, such as ``$.timings.started_at``. The data stays in SQLite, so that a list of large
        events costs neither their bytes nor the interpreter lock.
        """
        offsets, following = self._places(before, wanted, first, min(limit, MOST_DIGESTS), DIGESTED_BYTES)
        statement = _QUERY["digests"].format(paths=", ".join(f"'{path}'" for path in paths))
        with self._guard.translated():
            found: bytes = self._one(statement, {"offsets": orjson.dumps(offsets).decode()})
        try:
            rows = orjson.loads(found)
        except orjson.JSONDecodeError as error:
            raise garbled(self.path, "An event") from error
        return Digests(sorted(map(Digest._make, rows), reverse=True, key=_OFFSET), following)

    def _places(
        self, before: int, wanted: EventFilter, first: int, limit: int, max_bytes: int
    ) -> tuple[list[int], int | None]:
        """Where wanted events are, newest first, as many as fit; and below which offset to go on."""
        end = (self._maybe_int(_QUERY["newest"]) or 0) + 1
        before = min(before, end)
        lowest = max(first, before - SCAN)
        places: list[tuple[int, int]] = []
        for block in range((before - 1) // _BLOCK * _BLOCK, lowest - _BLOCK, -_BLOCK):
            flat = self._kept_of(block, wanted) if block + _BLOCK <= end and wanted.selective else None
            if flat is None:
                flat = self._scanned(block, min(before, block + _BLOCK), wanted, limit + 1 - len(places))
            found = zip(flat[::2], flat[1::2], strict=True)
            places += sorted((place for place in found if lowest <= place[0] < before), reverse=True)
            if len(places) > limit:
                break
        offsets, is_cut = _fitting(places, limit, max_bytes)
        return offsets, offsets[-1] if is_cut else self._end_below(lowest, first)

    def _kept_of(self, first: int, wanted: EventFilter) -> array[int] | None:
        """Offset and size of each wanted event of a block that is full; ``None``: there are too many to be kept.

        Where events are does not change, so it is read once: the pages of a list look through the same blocks again.
        """
        key = (first, _json_of(wanted.types_taken), wanted.subject)
        if key not in self._kept:
            if len(self._kept) == _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            flat = self._scanned(first, first + _BLOCK, wanted, _SPARSE + 1)
            self._kept[key] = flat if len(flat) <= 2 * _SPARSE else None
        return self._kept[key]

    def _scanned(self, first: int, before: int, wanted: EventFilter, limit: int) -> array[int]:
        """Offset and size of the newest wanted events of a stretch, at most so many, in whatever order."""
        given = {"types": _json_of(wanted.types_taken), "subject": wanted.subject, "first": first, "before": before}
        with self._guard.translated():
            found: str = self._one(_QUERY["newest_before"], {**given, "limit": limit}) or ""
        return array("q", map(int, found.replace(":", " ").split()))

    def _end_below(self, offset: int, first: int = 0) -> int | None:
        """Where the events below an offset end, as one offset more than the newest; ``None``: none is left."""
        newest = self._maybe_int(_QUERY["newest_below"], offset)
        return None if newest is None or newest < first else newest + 1

    def _picked(self, offsets: Sequence[int]) -> list[Entry]:
        """All of these, newest first: how much that may be has been seen to."""
        return self.pick(offsets, sys.maxsize)[::-1] if offsets else []

    def subjects(self, prefix: str, before: int, limit: int) -> Subjects:
        """At most ``limit`` subjects that begin so, of the ``SCAN`` offsets below one, the newest first."""
        first = max(0, before - SCAN)
        given = {"first": first, "before": before, "limit": limit, **sql.beginning_with(prefix)}
        with self._guard.translated():
            rows = self._db.execute(_QUERY["subjects_in"], given).fetchall()
        found = [(subject, _kind(*of)) for subject, _, *of in rows]
        if len(rows) == limit:
            return Subjects(found, rows[-1][1] if rows else before)
        return Subjects(found, self._end_below(first))

    def first_accepted_from(self, at: int) -> int:
        """The offset of the first event accepted at an instant or later (epoch milliseconds); beyond the last: none.

        By halving, since offsets and times go up together; where a clock was set back, it is one of those.
        """
        low, high = self.oldest_offset() or 0, (self._maybe_int(_QUERY["newest"]) or 0) + 1
        with self._guard.translated():
            while low < high:
                middle = (low + high) // 2
                offset, accepted_at = self._db.execute(_QUERY["accepted_from"], (middle,)).fetchone() or (high, at)
                low, high = (low, middle) if accepted_at >= at else (offset + 1, high)
        return low

    def _entries(self, page: _Page, which: Mapping[str, Any], limit: int, max_bytes: int) -> list[Entry]:
        with self._guard.translated():
            # Small events come as one row for all, which SQLite makes without the interpreter lock. Of large ones that
            # row would be a copy of megabytes.
            if (self._one(page.first_size, which) or 0) < _LARGE:
                found = self._db.execute(page.page, {**which, "limit": limit, "bytes": max_bytes}).fetchone()
                return entries_of(found, self.path)
            chosen = {**which, "limit": min(limit, _MOST_LARGE), "bytes": max_bytes}
            return [entry_of(row, self.path) for row in self._db.execute(page.rows, chosen).fetchall()]

    def offsets_about(self, subject: str, after: int, limit: int) -> list[int]:
        """Where contradictions, progress, dead letters and replays are that have this subject, beyond an offset."""
        with self._guard.translated():
            return [row[0] for row in self._db.execute(_QUERY["unkeyed"], (subject, after, limit))]

    def checkpoints(self) -> dict[str, SavedCheckpoint]:
        """What the journal knows of each sink."""
        with self._guard.translated():
            rows = self._db.execute(_QUERY["checkpoints"]).fetchall()
        return {sink: SavedCheckpoint(*rest) for sink, *rest in rows}

    def accepted_at(self, after: int) -> int | None:
        """When the first event after an offset was accepted (epoch milliseconds), ``None`` if there is none."""
        return self._maybe_int(_QUERY["accepted_at"], after)

    def oldest_offset(self) -> int | None:
        """The first offset still held."""
        return self._maybe_int(_QUERY["oldest"])

    def newest_offset(self) -> int:
        """The last offset held; without events, the last one given out."""
        newest = self._maybe_int(_QUERY["newest"])
        return self.last_offset if newest is None else newest

    def _maybe_int(self, statement: str, *parameters: int) -> int | None:
        with self._guard.translated():
            found: int | None = self._one(statement, parameters)
        return found

    def addressed(self, after: int) -> list[Addressed]:
        """The held events beyond ``after`` that are for one sink only."""
        with self._guard.translated():
            return self._db.execute(_QUERY["addressed"], (after,)).fetchall()

    def size(self) -> int:
        """Bytes of pages in use, the WAL not counted."""
        pages: int = self._one("PRAGMA page_count") - self._one("PRAGMA freelist_count")
        return pages * int(self._one("PRAGMA page_size"))

    def integrity(self) -> list[str]:
        """What SQLite's own check and ours find wrong; empty when all is well. Reads the whole file."""
        problems = [row[0] for row in self._db.execute("PRAGMA integrity_check") if row[0] != "ok"]
        highest = self._one('SELECT coalesce(max("offset"), 0) FROM events')
        if highest > self.last_offset:
            problems.append(f"event {highest} lies beyond the last offset given out, {self.last_offset}")
        bad = self._one("SELECT count(*) FROM events WHERE NOT json_valid(CAST(data AS TEXT))")
        if bad:
            problems.append(f"{bad} events hold data that is not JSON")
        if (forgotten := unrecognized(self._db)) is not None:
            problems.append(f"the dedup index does not have event {forgotten} as it was written")
        for sink, saved in self.checkpoints().items():
            if saved.offset > self.last_offset:
                problems.append(f"sink {sink} is at {saved.offset}, beyond the last offset {self.last_offset}")
        return problems or self._garbled()

    def each(self, after: int = 0, topic: str | None = None) -> Iterator[Entry]:
        """Every held event beyond an offset, oldest first, replays for a single sink included."""
        while page := self.read(after, 1000, 4 << 20):
            yield from (entry for entry in page if topic in (None, entry.event.topic))
            after = page[-1].offset

    def _garbled(self) -> list[str]:
        """The first event that is not as it was written, if there is one."""
        try:
            deque(self.each(), maxlen=0)
        except JournalBroken as error:
            return [error.message]
        return []

    def meta(self, key: str) -> str | None:
        """What is noted of the journal as a whole under this key."""
        with self._guard.translated():
            found: str | None = self._one(_QUERY["meta"], (key,))
        return found

    def _meta(self, key: str) -> str:
        found = self.meta(key)
        if found is None:
            raise JournalBroken(
                "journal_incomplete",
                f"{self.path} has no {key}: it is not a relay journal, or was truncated.",
                hint="Set another journal.path, or restore the file together with its -wal.",
            )
        return found

    def _one(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        row = self._db.execute(statement, parameters).fetchone()
        return row[0] if row else None


def _json_of(types: Sequence[str] | None) -> str | None:
    return None if types is None else orjson.dumps(types).decode()


def _fitting(places: Sequence[tuple[int, int]], limit: int, max_bytes: int) -> tuple[list[int], bool]:
    """The offsets of the first places that fit together (one always does), and whether that is not all of them."""
    offsets: list[int] = []
    for offset, size in places:
        max_bytes -= size
        if offsets and (len(offsets) == limit or max_bytes < 0):
            return offsets, True
        offsets.append(offset)
    return offsets, False


def _kind(task: int, chat: int, itself: int) -> SubjectKind:
    if chat:
        return "chat"
    return "delivery" if itself and not task else "task"
