"""Removes from an open journal what is no longer needed: events that every sink has, dead letters that are too old."""

from __future__ import annotations

from bisect import bisect_left
from contextlib import AbstractContextManager
from typing import Literal

from relay.journal import sql
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.reader import Reader

_QUERY = sql.statements("query.sql")
_SPARE_PAGES = 8192  # 32 MiB of free pages stay for the next events; beyond that the file shrinks


class Pruning(Reader):
    """The part of the store that deletes, in steps too small to delay a commit; in the journal's thread."""

    def _transaction(self) -> AbstractContextManager[None]:
        """One commit: all that is done inside, or nothing."""
        raise NotImplementedError

    def prune(self, *, floor: int, older_than: int, over_size: int, chunk: int = 500) -> int:
        """Deletes up to ``chunk`` of the oldest events that every sink has (``offset <= floor``).

        They go when accepted before ``older_than`` (epoch milliseconds), or when the file holds more than
        ``over_size`` bytes of pages in use. Answers how many went; call again while it answers ``chunk``.
        """
        with self._guard.translated():
            cut = self._prunable(floor, older_than, over_size, chunk)
            if cut is None:
                return 0
            with self._transaction():
                deleted = self._db.execute(_QUERY["delete_events"], (cut,)).rowcount
                for projection in self._projections.values():
                    projection.prune(cut)
            self._shrink()
        return deleted

    def _prunable(self, floor: int, older_than: int, over_size: int, chunk: int) -> int | None:
        oldest = self._db.execute(_QUERY["oldest"]).fetchone()
        if oldest is None or oldest[0] > floor:
            return None
        last: int = self._one(_QUERY["last_of"], (chunk,))
        if self.size() <= over_size:
            last = min(last, self._last_expired(oldest[0], oldest[1], older_than, chunk))
        # The key of an event that is not merged yet is in its row only.
        cut = min(last, floor, self._index.merged_offset)
        return cut if cut >= oldest[0] else None

    def _last_expired(self, oldest: int, stamp: int, older_than: int, chunk: int) -> int:
        """The offset up to which everything is older; 0: nothing is. ``stamp`` is the oldest event's own.

        An event is at least as old as those that came after it, whatever its stamp says: the clock may have been ahead
        for a while. So where the first one claims to be younger than the newest, the place is looked for at which the
        clock was set right. One that is ahead by less delays what follows it by no more than that.
        """
        if stamp < older_than:
            younger: int | None = self._one(_QUERY["first_younger"], (chunk, older_than))
            return 1 << 62 if younger is None else younger - 1
        newest = self.newest_offset()
        if self._accepted_by(newest) >= stamp:
            return 0
        later = range(oldest + 1, newest)
        right = later.start + bisect_left(later, True, key=lambda offset: self._accepted_by(offset) < stamp)
        return right if self._accepted_by(right) < older_than else 0

    def _accepted_by(self, offset: int) -> int:
        """The stamp of the last event up to an offset."""
        return int(self._one(_QUERY["accepted_by"], (offset,)))

    def prune_dead_letters(
        self, *, older_than: int, over_size: int, floor: int, chunk: int = 200
    ) -> tuple[int, Literal["age", "size"]]:
        """Deletes up to ``chunk`` of the oldest dead letters; how many, and why.

        They go when kept since before ``older_than`` (epoch milliseconds). Where the file holds more than
        ``over_size`` bytes, those go that are older than the oldest event that may go, in the same order as events.
        """
        cause: Literal["age", "size"] = "age"
        with self._guard.translated():
            if self.size() > over_size:
                oldest = self._db.execute(_QUERY["oldest"]).fetchone()
                older_than, cause = (1 << 62 if oldest is None or oldest[0] > floor else oldest[1]), "size"
            letters = self.projection(DeadLetters)
            oldest_at = letters.oldest_at()
            if oldest_at is None or oldest_at >= older_than:
                return 0, cause
            with self._transaction():
                deleted = letters.expire(older_than, chunk)
            self._shrink()
        return deleted, cause

    def _shrink(self) -> None:
        if self._one("PRAGMA freelist_count") > _SPARE_PAGES:
            self._vacuum(1024)

    def _vacuum(self, pages: int) -> None:
        """Gives so many free pages to the disk; outside of a transaction."""
        # A row per page and no column: Python 3.11's `execute` ends such a statement after its first row.
        self._db.executescript(f"PRAGMA incremental_vacuum({pages})")
