"""The dead letters, with their bytes, until somebody replays or deletes them, or they are too old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import orjson

from relay.journal import sql
from relay.journal.plan import Plan
from relay.journal.projection import Projection


class HeldDeadLetter(NamedTuple):
    """A dead letter as it is kept. ``event`` holds the refused event's attributes, ``None`` for a delivery.

    ``subject`` is the task or the stream that it is about, its own id where that could not be read.
    """

    id: str
    origin: str
    reason: str
    detail: str
    accepted_at: int
    raw_bytes: int
    event_offset: int | None
    event: dict[str, str] | None
    subject: str
    raw: bytes | None = None


class DeadLetters(Projection):
    statements: ClassVar[Mapping[str, str]] = sql.statements("projections/dead_letters.sql")

    def apply(self, group: Plan) -> None:
        """Keeps those of the group."""
        for dead, subject in group.dead:
            event = dead.event
            kept = orjson.dumps({"topic": event.topic, **dict(event.attributes())}).decode() if event else None
            row = (
                dead.id,
                dead.origin,
                dead.reason,
                dead.detail,
                dead.raw,
                group.now,
                dead.event_offset,
                kept,
                subject,
            )
            self._db.execute(self.statements["insert"], row)

    def page(self, after: str, limit: int) -> list[HeldDeadLetter]:
        """At most ``limit`` with ids beyond ``after``, in the order of their ids, without their raw bytes."""
        return self._letters("page", after, limit)

    def about(self, subject: str, limit: int) -> list[HeldDeadLetter]:
        """Those about a task or a stream, the oldest first, without their raw bytes."""
        return self._letters("about", subject, limit)

    def find(self, id: str) -> HeldDeadLetter | None:
        """One with its raw bytes."""
        return next(iter(self._letters("find", id)), None)

    def _letters(self, statement: str, *parameters: str | int) -> list[HeldDeadLetter]:
        rows = self._db.execute(self.statements[statement], parameters).fetchall()
        return [_letter(row) for row in rows]

    def count(self) -> int:
        return int(self._db.execute(self.statements["count"]).fetchone()[0])

    def delete(self, id: str) -> bool:
        """Forgets one; ``False`` if there is none."""
        return self._db.execute(self.statements["delete"], (id,)).rowcount > 0

    def oldest_at(self) -> int | None:
        """When the oldest was accepted (epoch milliseconds); ``None``: there is none."""
        found: int | None = self._db.execute(self.statements["oldest_at"]).fetchone()[0]
        return found

    def expire(self, older_than: int, chunk: int) -> int:
        """Forgets up to ``chunk`` that were accepted before (epoch milliseconds), the oldest; answers how many."""
        return self._db.execute(self.statements["expire"], (older_than, chunk)).rowcount


def _letter(row: Sequence[Any]) -> HeldDeadLetter:
    letter = HeldDeadLetter._make(row)
    return letter._replace(event=orjson.loads(row[7])) if row[7] else letter
