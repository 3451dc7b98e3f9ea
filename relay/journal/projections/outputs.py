"""The outputs of tasks that are to be archived: each waits until it has ended, archived or lost.

An output enters with its ``relay.task.succeeded`` and ends with its ``relay.output.archived`` or ``lost``, each in the
transaction of the event. So after a crash exactly those wait here that nobody has heard the end of.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from relay.clocks import on_the_steady_clock
from relay.core.archive.job import LONGEST, MAX_LINK, Job, deadline_of
from relay.core.clock import parse_rfc3339
from relay.core.event import OUTPUTS, TASKS, Event
from relay.core.tasks.events import CONFLICTED
from relay.journal import sql
from relay.journal.plan import Plan
from relay.journal.projection import Projection

OUTPUT_STATES: Final = ("waiting", "archived", "lost")
MAX_OF_TASK: Final = 1000
"""Outputs of one task that are shown; a webhook cannot hold many more."""

_SQL = sql.statements("projections/outputs.sql")
_SQL |= {name: _SQL[name].format(rows=_SQL["rows"]) for name in ("find", "about", "before")}
_SUCCEEDED: Final = frozenset({"relay.task.succeeded", CONFLICTED})
"""A task that was given up, or had failed, may succeed after all: then that contradicts what was known."""
_SCAN: Final = 1000
_LOOKS: Final = 20


@dataclass(frozen=True, slots=True)
class OutputRow:
    """An output. Instants are epoch milliseconds; ``due_at`` is of ``steady_ms``.

    ``link`` is where it came from: with what grants access, unless it is archived.
    """

    id: int
    task_id: str
    index: int
    kind: str
    state: str
    reason: str | None
    attempts: int
    accepted_at: int
    deadline: int
    due_at: int
    ended_at: int | None
    store_key: str | None
    url: str | None
    size: int | None
    sha256: str | None
    content_type: str | None
    link: str | None


@dataclass(frozen=True, slots=True)
class WantedOutputs:
    """Which outputs a list is to hold; ``None`` is all. ``since`` and ``until`` (both included) are epoch milliseconds
    of when they became known."""

    states: Collection[str] | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None

    def takes(self, row: OutputRow) -> bool:
        """Whether an output is one of them."""
        return (
            (self.states is None or row.state in self.states)
            and self.kind in (None, row.kind)
            and (self.since is None or row.accepted_at >= self.since)
            and (self.until is None or row.accepted_at <= self.until)
        )


class Outputs(Projection):
    """The table. ``archiving``: outputs of tasks that succeed enter it."""

    statements = _SQL

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__(db)
        self.archiving = False

    def apply(self, group: Plan) -> None:
        """Enters outputs and ends them. Costs nothing while nothing is archived."""
        if not self.archiving:
            return
        made: list[tuple[Any, ...]] = []
        ended: list[bytes] = []
        for entry in group.entries:
            # A replay for one sink was here before, under its first offset.
            if entry.sink is None:
                if entry.event.topic == OUTPUTS:
                    ended.append(entry.event.data)
                elif entry.event.topic == TASKS and entry.event.type in _SUCCEEDED:
                    made.extend(_rows_of(entry.event, group.now))
        if made:
            given = {"rows": orjson.dumps(made).decode(), "now": group.now, "due_at": on_the_steady_clock(group.now)}
            self._db.execute(_SQL["enter"], given)
        if ended:
            self._db.execute(_SQL["end"], {"ends": (b"[" + b",".join(ended) + b"]").decode(), "now": group.now})

    def due(self, now: int, limit: int) -> list[Job]:
        """The outputs that are to be tried by now (of ``steady_ms``), those with the nearest deadlines."""
        rows = self._db.execute(_SQL["due"], {"now": now, "far": now + 2 * LONGEST, "limit": limit})
        return [Job(*(*row[:9], bool(row[9]))) for row in rows]

    def next_due(self) -> int | None:
        """When the next try is due (of ``steady_ms``); ``None``: nothing waits."""
        found: int | None = self._db.execute(_SQL["next_due"]).fetchone()[0]
        return found

    def again(self, job: Job, due_at: int, reason: str) -> None:
        """Notes a try that failed."""
        self._db.execute(_SQL["again"], {**_place(job.task_id, job.index), "due_at": due_at, "reason": reason})

    def relink(self, job: Job) -> None:
        """Notes a fresh link."""
        self._db.execute(_SQL["relink"], {**_place(job.task_id, job.index), "link": job.link, "deadline": job.deadline})

    def lost_again(self, job: Job, now: int, reason: str) -> None:
        """What was tried again after it had been lost is so still."""
        self._db.execute(_SQL["lost_again"], {**_place(job.task_id, job.index), "now": now, "reason": reason})

    def retry(self, task_id: str, index: int, now: int, due_at: int) -> bool:
        """Has an output tried at once; ``False``: it is archived, or unknown. ``due_at`` is now, of ``steady_ms``."""
        return self._db.execute(_SQL["retry"], {**_place(task_id, index), "now": now, "due_at": due_at}).rowcount == 1

    def expire(self, ended_before: int, chunk: int = 500) -> int:
        """Takes out up to ``chunk`` outputs that ended before (epoch milliseconds); answers how many."""
        return self._db.execute(_SQL["expire"], (ended_before, chunk)).rowcount

    def waiting(self) -> tuple[int, int | None]:
        """How many wait, and the nearest of their deadlines (epoch milliseconds)."""
        count, nearest = self._db.execute(_SQL["waiting"]).fetchone()
        return count, nearest

    def find(self, task_id: str, index: int) -> OutputRow | None:
        row = self._db.execute(_SQL["find"], (task_id, index)).fetchone()
        return None if row is None else OutputRow(*row)

    def about(self, task_id: str) -> list[OutputRow]:
        """Those of one task, in their order."""
        return [OutputRow(*row) for row in self._db.execute(_SQL["about"], (task_id, MAX_OF_TASK))]

    def page(self, before: int, limit: int, wanted: WantedOutputs) -> tuple[list[OutputRow], int | None]:
        """At most ``limit`` wanted outputs below a row, newest first, and below which row to go on (``None``: the end).

        It looks through some thousand rows at most, so that a rare kind does not hold up other readers.
        """
        found: list[OutputRow] = []
        for _ in range(_LOOKS):
            rows = self._db.execute(_SQL["before"], (before, _SCAN)).fetchall()
            for row in (OutputRow(*each) for each in rows):
                before = row.id
                if wanted.since is not None and row.accepted_at < wanted.since:
                    return found, None
                if wanted.takes(row):
                    found.append(row)
                    if len(found) == limit:
                        return found, before
            if len(rows) < _SCAN:
                return found, None
        return found, before


def _place(task_id: str, index: int) -> dict[str, Any]:
    return {"task_id": task_id, "index": index}


def _rows_of(event: Event, now: int) -> Iterator[tuple[Any, ...]]:
    data = orjson.loads(event.data)
    if data["status"] != "succeeded":
        return
    for index, output in enumerate(data["outputs"]):
        url, expires_at = output["url"], output["expires_at"]
        link = url if url is not None and len(url) <= MAX_LINK else None
        deadline = deadline_of(None if expires_at is None else parse_rfc3339(expires_at), now)
        yield (event.subject, index, output["kind"], output["format"], link, event.time[:10], deadline)
