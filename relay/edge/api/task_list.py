"""All known tasks, newest first: those of the registry, and those that relay only heard the end of.

The latter are in no table: their ends are found in the journal. An index of them would cost each webhook a page.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import web

from relay.clocks import steady_ms, wall_ms
from relay.core.clock import MAX_MS, rfc3339
from relay.core.event import TASKS, Entry
from relay.core.event_filter import EventFilter
from relay.edge.api.guard import MAX_OFFSET, one_of, page_limit
from relay.edge.api.ranges import instant_in, newest, place_in, range_in
from relay.journal.event_log import EventLog
from relay.journal.journal import Journal
from relay.journal.projections import tasks as registry
from relay.journal.projections.tasks import ENDED, PENDING, STATES, Row, Tasks

SELECTIONS: Final[dict[str, Collection[str] | None]] = {
    **{state: (state,) for state in STATES},
    "pending": PENDING,
    "overdue": PENDING,
    "ended": ENDED,
    "all": None,
}
"""What the parameter ``state`` may say, and the states meant; ``None``: all."""

_PLACE: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})", re.ASCII)


class _Place(NamedTuple):
    """Where a page begins: below a row of the registry, and below an offset of the journal."""

    row: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Part:
    """What one of the two has for a page, newest first: each task with when it became known, and its place.

    ``next``: the place to go on at when all of it was used, ``None``: it has no more; ``reached``: nothing that it has
    left became known later than that.
    """

    found: Sequence[tuple[int, int, dict[str, Any]]]
    next: int | None
    reached: int


_NOTHING: Final = _Part((), None, 0)


class TaskList:
    def __init__(self, journal: Journal) -> None:
        self._events: EventLog = journal.events
        self._tasks = journal.projection(Tasks)

    async def page(self, request: web.Request) -> dict[str, Any]:
        """``tasks`` and ``next``. Raises ``ProblemError`` (``bad_request``)."""
        place, limit, state = _place(request), page_limit(request), one_of(request, "state", SELECTIONS, "all")
        registered = await self._registered(request, state, place, limit)
        heard = await self._heard(request, state, place, limit)
        complete_to = max((part.reached for part in (registered, heard) if part.next is not None), default=0)
        known = [(at, 1, where, task) for at, where, task in registered.found]
        known += [(at, 0, where, task) for at, where, task in heard.found]
        known.sort(key=lambda each: each[:3], reverse=True)
        shown = [each for each in known if each[0] >= complete_to][:limit]
        following = [
            _following(part, [where for _, kind, where, _ in shown if kind == is_registered])
            for part, is_registered in ((registered, 1), (heard, 0))
        ]
        # A part that has no more begins below its first row from now on: there is none.
        ended = all(each is None for each in following)
        return {
            "tasks": [task for *_, task in shown],
            "next": None if ended else "-".join(str(each or 0) for each in following),
        }

    async def _registered(self, request: web.Request, state: str, place: _Place, limit: int) -> _Part:
        wanted = registry.Wanted(
            SELECTIONS[state],
            request.query.get("type") or None,
            _steady(instant_in(request, "since")),
            _steady(instant_in(request, "until")),
            overdue_at=steady_ms() if state == "overdue" else None,
        )
        page = await self._tasks.query(Tasks.newest, place.row, limit, wanted)
        return _part([(row.submitted_at, row.id, shown_task(row)) for row in page.rows], page.next, page.reached)

    async def _heard(self, request: web.Request, state: str, place: _Place, limit: int) -> _Part:
        """Tasks whose end is in the journal, and which are in no registry."""
        states = SELECTIONS[state]
        types = [f"relay.task.{state}" for state in ENDED if states is None or state in states]
        if not types or not place.offset:
            return _NOTHING
        span = await range_in(request, self._events)
        page = await newest(self._events, place.offset, EventFilter((TASKS,), types), span, limit)
        registered = await self._tasks.query(Tasks.registered, [entry.event.subject for entry in page.entries])
        kind = request.query.get("type") or None
        found = [
            (entry.accepted_at, entry.offset, task)
            for entry in page.entries
            if entry.event.subject not in registered and kind in (None, (task := heard_of(entry))["task_type"])
        ]
        reached = 0
        if page.next is not None:
            reached = await self._events.first_accepted_at(page.next - 1) or 0
        return _part(found, page.next, reached)


def _part(found: Sequence[tuple[int, int, dict[str, Any]]], following: int | None, reached: int) -> _Part:
    """Where a clock was set, a task counts as no later than the one before it: places and times fall together."""
    latest = MAX_MS
    falling = []
    for at, where, task in found:
        latest = min(latest, at)
        falling.append((latest, where, task))
    return _Part(falling, following, min(latest, reached))


def _following(part: _Part, shown: Sequence[int]) -> int | None:
    """Where the next page goes on in one part."""
    if len(shown) == len(part.found):
        return part.next
    return shown[-1] if shown else part.found[0][1] + 1


def _place(request: web.Request) -> _Place:
    match = place_in(request, _PLACE, "tasks")
    return _Place(MAX_OFFSET, MAX_OFFSET) if match is None else _Place(int(match[1]), int(match[2]))


def _steady(at: int | None) -> int | None:
    """An instant of the wall clock on the one that the registry goes by."""
    return None if at is None else at - wall_ms() + steady_ms()


def shown_task(row: Row) -> dict[str, Any]:
    """A registered task, as every route shows it."""
    return {
        "task_id": row.task_id,
        "task_type": row.task_type,
        "state": row.state,
        "reason": row.reason,
        "submitted_at": rfc3339(row.submitted_at),
        "ended_at": instant(row.ended_at),
        "known_via": row.known_via,
        "polls": row.polls,
        "next_poll_at": instant(row.due_at),
        "trouble": row.trouble,
        "trouble_since": instant(row.trouble_since),
    }


def heard_of(entry: Entry) -> dict[str, Any]:
    """A task that is not registered, by the event that ends it."""
    data = orjson.loads(entry.event.data)
    known = {"task_type": data["task_type"], "reason": data["reason"], "known_via": data["observed_via"]}
    return unregistered(entry.event.subject) | known | ended_by(entry)


def ended_by(entry: Entry) -> dict[str, Any]:
    """What an event that ends a task changes of it."""
    state = entry.event.type.rpartition(".")[2]
    return {"state": state, "next_poll_at": None, "ended_at": rfc3339(entry.accepted_at)}


def unregistered(task_id: str) -> dict[str, Any]:
    """A task that nobody submitted or watched here: known by a webhook, or by a poll of its owner's, only."""
    row = Row(0, task_id, None, "submitted", None, 0, None, 0, None, None, None, "webhook", ())
    return shown_task(row) | {"submitted_at": None}


def instant(ms: int | None) -> str | None:
    """An instant in epoch milliseconds as answers show it."""
    return None if ms is None else rfc3339(ms)
