"""Which task each webhook address belongs to.

The upstream names a task when it answers its submission, and the address is already on its way then. So an address is
bound when the answer is here, in the same commit as ``relay.task.submitted``; or by the first delivery that uses it,
where that is faster, or where another replica has given the address. It stays bound: later deliveries by it report on
that task or are refused.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from typing import Final, NamedTuple

import orjson

from relay.core.tasks.address import KEY_BYTES
from relay.journal import sql
from relay.journal.plan import Plan
from relay.journal.projection import Projection

_SQL: Final = sql.statements("projections/task_addresses.sql")


class Binding(NamedTuple):
    """``given``: the upstream's answer to the submission said so, which counts more than a delivery."""

    task_id: str
    given: bool


class Found(NamedTuple):
    """``task_id``: whose address it is, ``None`` while it is nobody's. ``other``: the task asked for was given one."""

    task_id: str | None
    other: bool


class Addresses(Projection):
    statements = _SQL

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__(db)
        self._waiting: dict[str, Binding] = {}
        self._lock = threading.Lock()
        self.key: Final = bytes.fromhex(db.execute(_SQL["key"]).fetchone()[0])
        """Secret: what is signed with it was made by a relay with this journal."""

    @classmethod
    def create(cls, db: sqlite3.Connection) -> None:
        """Makes the key, too, where it is missing."""
        super().create(db)
        db.execute(_SQL["put_key"], (secrets.token_bytes(KEY_BYTES).hex(),))

    def bind(self, nonce: bytes, binding: Binding) -> None:
        """The address is this task's, from now on; on disk with the next group. For the event loop's thread."""
        with self._lock:
            self._waiting[nonce.hex()] = binding

    def apply(self, group: Plan) -> None:
        """Writes what waits. What an earlier group has really written waits no more."""
        if not self._waiting:
            return
        with self._lock:
            rows = _json(self._waiting)
        for nonce, task_id, given in self._db.execute(_SQL["written"], {"rows": rows}).fetchall():
            self._drop(nonce, Binding(task_id, bool(given)))
        with self._lock:
            rows = _json(self._waiting)
        self._db.execute(_SQL["bind"], {"rows": rows})

    def _drop(self, nonce: str, written: Binding) -> None:
        with self._lock:
            waiting = self._waiting.get(nonce)
            if waiting is not None and waiting.task_id == written.task_id and waiting.given <= written.given:
                del self._waiting[nonce]

    def find(self, nonce: bytes, task_id: str) -> Found:
        """Whose address this is; and whether this task, if it is somebody else's, was given another one here."""
        with self._lock:
            waiting = dict(self._waiting)
        known = waiting.get(nonce.hex())
        if known is not None:
            return Found(known.task_id, False)
        row = self._db.execute(_SQL["find"], (nonce.hex(),)).fetchone()
        if row is not None:
            return Found(row[0], False)
        other = any(binding == (task_id, True) for binding in waiting.values())
        return Found(None, other or bool(self._db.execute(_SQL["has_given"], (task_id,)).fetchone()[0]))

    def expire(self, before: bytes, chunk: int) -> int:
        """Forgets up to ``chunk`` addresses with nonces less than ``before``; answers how many."""
        return self._db.execute(_SQL["expire"], (before.hex(), chunk)).rowcount


def _json(waiting: dict[str, Binding]) -> str:
    return orjson.dumps([(nonce, binding.task_id, int(binding.given)) for nonce, binding in waiting.items()]).decode()
