"""The registry of tasks: what was submitted and must end, stored beside the events about it.

A task enters with its ``relay.task.submitted`` or because somebody asked to have it watched, and ends with the first
``relay.task.succeeded``, ``failed`` or ``abandoned``, each in the transaction of the event. Its row says when it is
polled next; an index on that makes a million tasks which are not due cost nothing. An ending may come before its
``submitted`` (the upstream's webhook can be faster than its answer): then it is not seen here, and a caller about to
poll asks the journal whether the ending is known (``EventLog.known``).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from relay.clocks import on_the_steady_clock
from relay.core.event import TASKS, Entry, Event
from relay.core.tasks.reconcile import PollAgain, Timing, Watched
from relay.journal import sql
from relay.journal.plan import Plan
from relay.journal.projection import Projection

PENDING: Final = ("submitted", "running")
ENDED: Final = ("succeeded", "failed", "abandoned")
STATES: Final = (*PENDING, *ENDED)

MAX_REASON: Final = 200
"""Characters of a reason that are kept beside the events."""

_SQL = sql.statements("projections/tasks.sql")
_SQL |= {name: _SQL[name].format(rows=_SQL["rows"]) for name in ("find", "before", "overdue_before", "longest")}
_PREFIX: Final = "relay.task."
_TYPE: Final = re.compile(rb'\{"task_id":"[^"]*","task_type":"([^"\\]{1,80})"')
"""The head of an event's data, whose keys are in the order of ``TaskData``: parsing all of it would cost ten times as
much, for each webhook."""
_SCAN: Final = 1000
MOST_SORTED: Final = 100_000
"""Tasks, the newest ones, that are sorted: some 50 ms of a reader. A time range leads to those before them."""

_MOST_OVERDUE: Final = 20_000


class Row(NamedTuple):
    """A registered task. Instants are epoch milliseconds; ``offsets`` are those of its events, oldest first.

    ``known_via``: ``submit``, or ``watch`` where somebody asked to have it watched.
    """

    id: int
    task_id: str
    task_type: str | None
    state: str
    reason: str | None
    submitted_at: int
    due_at: int | None
    polls: int
    trouble: str | None
    trouble_since: int | None
    ended_at: int | None
    known_via: str
    offsets: tuple[int, ...]

    def lasted(self, now: int) -> int:
        """Milliseconds from its submission to its end, or to now (of ``steady_ms``)."""
        return max(0, (now if self.ended_at is None else self.ended_at) - self.submitted_at)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks a list is to hold; ``None`` is all. ``since``, ``until`` (both included) and ``overdue_at`` are epoch
    milliseconds, the first two of when it was submitted.

    ``overdue_at``: only those whose poll was due by then and has not been made.
    """

    states: Collection[str] | None = None
    task_type: str | None = None
    since: int | None = None
    until: int | None = None
    overdue_at: int | None = None

    def takes(self, row: Row) -> bool:
        """Whether a task is one of them."""
        return (
            (self.states is None or row.state in self.states)
            and self.task_type in (None, row.task_type)
            and (self.since is None or row.submitted_at >= self.since)
            and (self.until is None or row.submitted_at <= self.until)
        )


class Newest(NamedTuple):
    """A page of registered tasks, newest first.

    ``next``: below which row to go on, ``None``: there are no more; ``reached``: when the last one that was looked at
    was submitted (epoch milliseconds).
    """

    rows: list[Row]
    next: int | None
    reached: int


class Longest(NamedTuple):
    """Registered tasks, those that lasted longest first.

    ``since``: when the oldest that was looked at was submitted (epoch milliseconds), ``None``: all were looked at.
    """

    rows: list[Row]
    since: int | None


class Tasks(Projection):
    """The table.

    ``timing`` says when a task that enters is polled first.
    """

    statements = _SQL

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__(db)
        self.timing = Timing()
        # Whether any task may be waiting for its end. Too often true is a statement too many, never a wrong answer;
        # so a rollback does no harm.
        self._waiting = bool(self._one("any_pending"))

    def apply(self, group: Plan) -> None:
        """Enters what was submitted and ends what has ended. Costs nothing while no registered task is waiting."""
        submitted: list[Entry] = []
        news: list[Entry] = []
        for entry in group.entries:
            # A replay for one sink was here before, under its first offset.
            if entry.event.topic == TASKS and entry.sink is None:
                (submitted if entry.event.type == "relay.task.submitted" else news).append(entry)
        if submitted:
            self._enter(submitted, on_the_steady_clock(group.now))
        if news and self._waiting:
            self._db.execute(_SQL["follow"], {"rows": _news(news), "now": group.now})

    def _enter(self, entries: Sequence[Entry], now: int) -> None:
        self._waiting = True
        rows = []
        for entry in entries:
            event, kind = entry.event, _type_in(entry.event)
            due_at = self.timing.first_poll(now, kind, _chance(event))
            rows.append((event.subject, kind, due_at, f" {entry.offset}"))
        self._db.execute(_SQL["enter"], {"rows": _json(rows), "now": now})

    def due(self, now: int, limit: int, longest: int) -> list[Watched]:
        """The tasks that are to be polled by now, the longest due first. ``now``: of ``steady_ms``.

        So are those that are due in more than ``longest`` milliseconds: a clock that was ahead has put them there.
        """
        given = {"now": now, "limit": limit, "far": now + longest}
        return [Watched(*row) for row in self._db.execute(_SQL["due"], given)]

    def next_due(self) -> int | None:
        """When the next poll is due (epoch milliseconds); ``None``: no task is waiting.

        Asked as a change (``Projected.execute``): with nothing waiting, the events are not looked at any more.
        """
        found: int | None = self._one("next_due")
        if found is None:
            self._waiting = False
        return found

    def polled(self, seen: Sequence[tuple[str, PollAgain]]) -> None:
        """Notes what polls brought, for tasks that have not ended meanwhile."""
        rows = [
            (task_id, again.at, again.state, again.task_type, int(again.counts), again.trouble, again.trouble_since)
            for task_id, again in seen
        ]
        self._db.execute(_SQL["polled"], {"rows": _json(rows)})

    def watch(self, task_id: str, now: int) -> bool:
        """Enters a task that was submitted elsewhere, to be polled at once; ``False``: it is registered already."""
        self._waiting = True
        return self._db.execute(_SQL["watch"], (task_id, now, now)).rowcount == 1

    def end(self, task_id: str, state: str, ended_at: int, offset: int) -> None:
        """Ends a task by an event that the journal had before the task was registered."""
        self._db.execute(_SQL["end"], (state, ended_at, f" {offset}", task_id))

    def forget(self, task_id: str) -> None:
        """Takes out a task that ended longer ago than the journal remembers."""
        self._db.execute(_SQL["forget"], (task_id,))

    def expire(self, ended_before: int, chunk: int = 500) -> int:
        """Takes out up to ``chunk`` tasks that ended before (epoch milliseconds); answers how many."""
        return self._db.execute(_SQL["expire"], (ended_before, chunk)).rowcount

    def find(self, task_id: str) -> Row | None:
        row = self._db.execute(_SQL["find"], (task_id,)).fetchone()
        return None if row is None else _row(row)

    def newest(self, before: int, limit: int, wanted: Wanted, scans: int = 20) -> Newest:
        """At most ``limit`` wanted tasks below the row ``before``, the last registered first.

        It looks through ``scans`` times a thousand rows at most, so that a rare kind does not hold up other readers.
        """
        found: list[Row] = []
        reached = 0
        for _ in range(scans):
            rows = self._below(before, wanted.overdue_at)
            for raw in rows:
                row = _row(raw)
                before, reached = row.id, row.submitted_at
                if wanted.takes(row):
                    found.append(row)
                    if len(found) == limit:
                        return Newest(found, before, reached)
            if len(rows) < _SCAN or (wanted.since is not None and reached < wanted.since):
                return Newest(found, None, reached)
        return Newest(found, before, reached)

    def longest(self, now: int, limit: int, wanted: Wanted, below: tuple[int, ...] | None = None) -> Longest:
        """At most ``limit`` wanted tasks that lasted longest, among the ``MOST_SORTED`` newest.

        ``now`` is of ``steady_ms``. ``below``: behind a task that lasted so many milliseconds, then 1 and its
        row; 0 and anything: behind all that lasted so long.
        """
        lasted, is_row, row = below or (1 << 62, 1, 0)
        given = {
            "now": now,
            "scan": MOST_SORTED,
            "states": None if wanted.states is None else orjson.dumps([*wanted.states]).decode(),
            "type": wanted.task_type,
            "since": wanted.since,
            "until": wanted.until,
            "overdue_at": wanted.overdue_at,
            "lasted": lasted,
            "row": row if is_row else 0,
            "limit": limit,
        }
        rows = [_row(columns) for columns in self._db.execute(_SQL["longest"], given)]
        edge = self._db.execute(_SQL["edge"], {"scan": MOST_SORTED}).fetchall()
        is_cut = len(edge) > 1 and (wanted.since is None or edge[0][0] > wanted.since)
        return Longest(rows, edge[0][0] if is_cut else None)

    def _below(self, before: int, overdue_at: int | None) -> list[Any]:
        if overdue_at is None:
            return self._db.execute(_SQL["before"], (before, _SCAN)).fetchall()
        overdue = {"now": overdue_at, "most": _MOST_OVERDUE, "before": before, "limit": _SCAN}
        return self._db.execute(_SQL["overdue_before"], overdue).fetchall()

    def registered(self, task_ids: Sequence[str]) -> set[str]:
        """Those of the tasks that are registered."""
        return {row[0] for row in self._db.execute(_SQL["registered"], (orjson.dumps(task_ids).decode(),))}

    def beginning_with(self, prefix: str, limit: int) -> list[str]:
        """The first ``limit`` registered tasks whose ids begin so, in their order."""
        found = self._db.execute(_SQL["beginning_with"], {**sql.beginning_with(prefix), "limit": limit})
        return [row[0] for row in found.fetchall()]

    def counts(self) -> dict[str, int]:
        """How many tasks are registered in each state."""
        return dict.fromkeys(STATES, 0) | dict(self._db.execute(_SQL["counts"]).fetchall())

    def overdue(self, now: int) -> int:
        """Tasks whose poll is due but has not been made."""
        return int(self._one("overdue", now))

    def _one(self, name: str, *parameters: Any) -> Any:
        return self._db.execute(_SQL[name], parameters).fetchone()[0]


def _news(entries: Sequence[Entry]) -> str:
    """What the events say about their tasks, one row each: a group can hold several about one."""
    rows: dict[str, list[Any]] = {}
    for entry in entries:
        event = entry.event
        row = rows.setdefault(event.subject, [event.subject, None, None, None, ""])
        row[4] += f" {entry.offset}"
        state = event.type.removeprefix(_PREFIX)
        if state in ENDED:
            row[1], row[2] = state, _type_in(event)
            row[3] = None if state == "succeeded" else _reason_in(event)
    return _json(list(rows.values()))


def _type_in(event: Event) -> str | None:
    match = _TYPE.match(event.data)
    return match[1].decode() if match else None


def _reason_in(event: Event) -> str | None:
    reason = orjson.loads(event.data).get("reason")
    return reason[:MAX_REASON] if isinstance(reason, str) else None


def _chance(event: Event) -> float:
    """A number in [0, 1) that is the task's own: it spreads the polls of tasks that were submitted at once."""
    return hash(event.subject) % 1024 / 1024


def _json(rows: Sequence[Sequence[Any]]) -> str:
    return orjson.dumps(rows).decode()


def _row(columns: Sequence[Any]) -> Row:
    return Row._make((*columns[:-1], tuple(sorted(map(int, columns[-1].split())))))
