"""The dedup index in two parts: the newest keys in memory, all others in a table, sorted by key.

Keys are hashes, so each insert into a large ordered table dirties a page of its own: 4 KiB to sync for 16 bytes.
Hence a key is first only a column of its event's row, which is appended, and a dictionary entry; once many have
gathered they are merged into the table in key order, where neighbours share pages. After a crash the dictionary is
rebuilt from the events beyond the merged offset; merging a key twice changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache

from relay.core.dedup import KEY_BYTES
from relay.journal import sql
from relay.journal.plan import Known

MERGE_AT = 16_384
"""Keys in memory (about 5 MB) that are worth a merge."""

MERGE_STEP = 256
"""Keys per transaction of a merge: a millisecond or two, during which no commit can happen."""

MAX_KEYS = 64
"""Keys per look-up statement."""

_SQL = sql.statements("dedup.sql")


class DedupIndex:
    """Which facts the journal knows. Lives in the store's thread, on the store's connection.

    The two questions may be asked in any thread, on a connection of its own (``db``): a key leaves the memory only when
    the table has it, and the memory is looked at first.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._recent: dict[bytes, tuple[bytes, int, int]] = {}
        self._merging: list[tuple[bytes, bytes, int, int]] = []
        self._merging_to = 0
        self.merged_offset = int(db.execute(_SQL["merged_offset"]).fetchone()[0])
        noted = db.execute(_SQL["swept"]).fetchone()
        self.swept = bytes.fromhex(noted[0]) if noted else b""
        """Where the next sweep goes on, as far as it is noted."""
        rows = db.execute(_SQL["unmerged"], (self.merged_offset,))
        for key, fingerprint, offset, seen_at in rows:
            self._recent[key] = (fingerprint, offset, seen_at)

    def known(self, keys: Sequence[bytes], db: sqlite3.Connection | None = None) -> Known:
        """Those of the keys that are known, each with its fingerprint and its event's offset."""
        found: Known = {}
        unseen = []
        for key in keys:
            recent = self._recent.get(key)
            if recent is None:
                unseen.append(key)
            else:
                found[key] = recent[:2]
        for start in range(0, len(unseen), MAX_KEYS):
            _look_up(db or self._db, unseen[start : start + MAX_KEYS], found)
        return found

    def beginning_with(self, prefix: bytes, after: int, limit: int, db: sqlite3.Connection | None = None) -> list[int]:
        """The offsets beyond ``after`` of the facts whose keys begin so, the first ``limit`` of them in order.

        ``prefix`` is shorter than a key, and long enough to be that of few facts: they are all looked at.
        """
        beyond = prefix + b"\xff" * (KEY_BYTES + 1 - len(prefix))
        held = self._recent.copy()  # in one step, whatever the store's thread does meanwhile
        recent = {entry[1] for key, entry in held.items() if key.startswith(prefix) and entry[1] > after}
        found = [row[0] for row in (db or self._db).execute(_SQL["beginning_with"], (prefix, beyond, after, limit))]
        return sorted(recent.union(found))[:limit]

    def add(self, keys: Sequence[tuple[bytes, bytes, int]], seen_at: int) -> None:
        """Remembers the keys of events that have just been committed. ``seen_at`` is epoch milliseconds."""
        for key, fingerprint, offset in keys:
            self._recent[key] = (fingerprint, offset, seen_at)

    def waiting(self) -> int:
        """Keys that are not in the table yet."""
        return len(self._recent)

    def merge_step(self, last_offset: int) -> int:
        """Merges the next keys inside the caller's transaction; answers how many are left of this merge.

        A merge takes what is in memory when it starts; its last step notes that the table now holds the key of every
        event up to that moment's last offset.
        """
        if not self._merging:
            self._merging = sorted((key, *entry) for key, entry in self._recent.items())
            self._merging_to = last_offset
        step = self._merging[:MERGE_STEP]
        if step:
            self._db.execute(_merge_sql(len(step)), [value for row in step for value in row])
        left = len(self._merging) - len(step)
        if not left:
            self._db.execute(_SQL["save_merged_offset"], (str(self._merging_to),))
        return left

    def step_committed(self, left: int) -> None:
        """The step is on disk: forgets what the table now holds. Not called, the next step does the same again."""
        for key, *_ in self._merging[:MERGE_STEP]:
            del self._recent[key]
        del self._merging[:MERGE_STEP]
        if not left:
            self.merged_offset = self._merging_to

    def sweep(self, after: bytes, *, older_than: int, step: int) -> bytes:
        """Forgets facts seen before ``older_than`` among the next ``step`` keys; answers where to go on.

        In the order of the keys and in small steps, instead of carrying a second index on time. ``b""``: the sweep
        has come round. Inside the caller's transaction, which notes the place where there was anything to forget.
        """
        row = self._db.execute(_SQL["sweep_to"], (after, step - 1)).fetchone()
        upto = row[0] if row else b"\xff" * 17
        forgotten = self._db.execute(_SQL["sweep"], (after, upto, older_than)).rowcount
        if forgotten:
            self._db.execute(_SQL["save_swept_before"], (older_than,))
        swept = upto if row else b""
        if forgotten or (not swept and self.swept):
            self._db.execute(_SQL["save_swept"], (swept.hex(),))
            self.swept = swept
        return swept


def unrecognized(db: sqlite3.Connection) -> int | None:
    """The first event held whose key should be in the table and is not, or not as it was written."""
    row = db.execute(_SQL["unrecognized"]).fetchone()
    return None if row is None else int(row[0])


def _look_up(db: sqlite3.Connection, keys: Sequence[bytes], found: Known) -> None:
    rows: str | None = db.execute(_known_sql(len(keys)), keys).fetchone()[0]
    for row in rows.split(",") if rows else ():
        key, fingerprint, offset = row.split(" ")
        found[bytes.fromhex(key)] = (bytes.fromhex(fingerprint), int(offset))


@lru_cache(maxsize=MAX_KEYS)
def _known_sql(count: int) -> str:
    return _SQL["known"].format(keys=",".join("?" * count))


@lru_cache(maxsize=8)
def _merge_sql(count: int) -> str:
    return _SQL["merge"].format(rows=sql.rows(count, 4))
