"""What ``GET /v1/tasks`` lists: the tasks of the registry, and those that relay only heard the end of.

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
from relay.core.clock import MAX_MS, parse_rfc3339, rfc3339
from relay.core.event import Entry
from relay.core.event_filter import EventFilter
from relay.edge.api.digests import Highest, Look, look_back, rank_of, since_of, text_of
from relay.edge.api.guard import MAX_OFFSET, one_of, page_limit
from relay.edge.api.ranges import Range, instant, place_in, range_in, span_in
from relay.journal.event_log import EventLog
from relay.journal.journal import Journal
from relay.journal.projections import tasks as registry
from relay.journal.projections.tasks import ENDED, PENDING, STATES, Row, Tasks
from relay.journal.queries import Digest, Digests

SELECTIONS: Final[dict[str, Collection[str] | None]] = {
    **{state: (state,) for state in STATES},
    "pending": PENDING,
    "overdue": PENDING,
    "ended": ENDED,
    "all": None,
}
"""What the parameter ``state`` may say, and the states meant; ``None``: all."""

TASK_SORTS: Final = ("newest", "duration")
"""What the parameter ``sort`` may say."""

PATHS: Final = (
    *("$.task_type", "$.reason", "$.observed_via"),
    *("$.timings.submitted_at", "$.timings.started_at", "$.timings.finished_at"),
)
"""What a list says of a task that is not registered, in the data of the event that ends it."""

_RANKED: Final = re.compile(r"([0-9]{1,18})-([01])-([0-9]{1,18})", re.ASCII)
_PLACE: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})", re.ASCII)


class _Sought(NamedTuple):
    """Which events about tasks a list is made of."""

    span: Range
    wanted: EventFilter
    task_type: str | None

    def takes(self, digest: Digest) -> bool:
        return not self.task_type or digest.values[0] == self.task_type


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
        """``tasks``, ``next`` and ``searched_since``. Raises ``ProblemError`` (``bad_request``)."""
        limit, state = page_limit(request), one_of(request, "state", SELECTIONS, "all")
        if one_of(request, "sort", TASK_SORTS, "newest") == "newest":
            return await self._newest(request, state, limit) | {"searched_since": None}
        return await self._highest(request, state, limit)

    async def _highest(self, request: web.Request, state: str, limit: int) -> dict[str, Any]:
        """The longest; a task that has not ended has lasted until now."""
        match, now = place_in(request, _RANKED, "tasks"), steady_ms()
        below = match and tuple(map(int, match.groups()))
        highest: Highest[Row | Digest] = Highest(limit, below)
        longest = await self._tasks.query(Tasks.longest, now, limit + 1, _wanted(request, state), below)
        for row in longest.rows:
            highest.add((row.lasted(now), 1, row.id), row)
        sought = await self._sought(request, state)
        stopped = None
        if sought is not None:

            def take(digest: Digest) -> bool:
                if sought.takes(digest):
                    highest.add(rank_of(_lasted(digest), 0, digest.offset), digest)
                return False

            stopped = await look_back(
                self._unregistered(sought.wanted, sought.span.first), sought.span.below(MAX_OFFSET), take
            )
        found, following = highest.page()
        tasks = [_heard_task(each) if isinstance(each, Digest) else shown_task(each) for each in found]
        since = since_of([longest.since, await self._reached(stopped)])
        return {"tasks": tasks, "next": following, "searched_since": instant(since)}

    async def _newest(self, request: web.Request, state: str, limit: int) -> dict[str, Any]:
        place = _place(request)
        registered = await self._registered(request, state, place, limit)
        heard = await self._heard(request, state, place, limit, registered)
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
        page = await self._tasks.query(Tasks.newest, place.row, limit, _wanted(request, state))
        return _part([(row.submitted_at, row.id, shown_task(row)) for row in page.rows], page.next, page.reached)

    async def _heard(self, request: web.Request, state: str, place: _Place, limit: int, registered: _Part) -> _Part:
        """Tasks whose end is in the journal, and which are in no registry.

        No further back than the registered ones of the page: what lies behind them is for another page.
        """
        sought = await self._sought(request, state)
        if sought is None or not place.offset:
            return _NOTHING
        floor = 0
        if registered.next is not None:
            floor = min(place.offset, await self._events.first_accepted_from(_on_the_wall(registered.reached)))
        first = max(sought.span.first, floor)
        found: list[tuple[int, int, dict[str, Any]]] = []

        def take(digest: Digest) -> bool:
            if sought.takes(digest):
                found.append((digest.accepted_at, digest.offset, _heard_task(digest)))
            return len(found) == limit

        look = self._unregistered(sought.wanted, first)
        following = await look_back(look, sought.span.below(place.offset), take, limit)
        if following is None and floor > sought.span.first:
            return _part(found, floor, registered.reached)
        return _part(found, following, await self._reached(following) or 0)

    async def _sought(self, request: web.Request, state: str) -> _Sought | None:
        """Which events to look for; ``None``: none can be wanted."""
        states = SELECTIONS[state]
        types = [f"relay.task.{state}" for state in ENDED if states is None or state in states]
        if not types:
            return None
        return _Sought(await range_in(request, self._events), EventFilter(types=types), request.query.get("type"))

    def _unregistered(self, wanted: EventFilter, first: int) -> Look:
        """A look for wanted events, those about registered tasks left out."""

        async def look(before: int, limit: int) -> Digests:
            page = await self._events.digests(before, wanted, first, PATHS, limit)
            registered = await self._tasks.query(Tasks.registered, [digest.subject for digest in page.found])
            return Digests([digest for digest in page.found if digest.subject not in registered], page.next)

        return look

    async def _reached(self, place: int | None) -> int | None:
        """When what lies at a place was accepted; ``None`` at the end."""
        return None if place is None else await self._events.first_accepted_at(place - 1)


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


def _wanted(request: web.Request, state: str) -> registry.Wanted:
    """What of the registry a list is to hold."""
    since, until = map(_steady, span_in(request))
    overdue_at = steady_ms() if state == "overdue" else None
    return registry.Wanted(SELECTIONS[state], request.query.get("type") or None, since, until, overdue_at=overdue_at)


def _steady(at: int | None) -> int | None:
    """An instant of the wall clock on the one that the registry goes by."""
    return None if at is None else at - wall_ms() + steady_ms()


def _on_the_wall(at: int) -> int:
    """The other way round."""
    return at - steady_ms() + wall_ms()


def shown_task(row: Row) -> dict[str, Any]:
    """A registered task, as every route shows it."""
    return {
        "task_id": row.task_id,
        "task_type": row.task_type,
        "state": row.state,
        "reason": row.reason,
        "submitted_at": rfc3339(row.submitted_at),
        "ended_at": instant(row.ended_at),
        "duration_ms": None if row.ended_at is None else row.lasted(row.ended_at),
        "known_via": row.known_via,
        "polls": row.polls,
        "next_poll_at": instant(row.due_at),
        "trouble": row.trouble,
        "trouble_since": instant(row.trouble_since),
    }


def heard_of(entry: Entry) -> dict[str, Any]:
    """A task that is not registered, by the event that ends it."""
    data = orjson.loads(entry.event.data)
    timings = data["timings"]
    values = [data[name] for name in ("task_type", "reason", "observed_via")]
    values += [timings[name] for name in ("submitted_at", "started_at", "finished_at")]
    return _heard_task(Digest(entry.offset, entry.accepted_at, entry.event.type, entry.event.subject, values))


def _heard_task(digest: Digest) -> dict[str, Any]:
    kind, reason, via = digest.values[:3]
    return unregistered(digest.subject) | {
        "task_type": text_of(kind),
        "state": digest.type.rpartition(".")[2],
        "reason": text_of(reason),
        "ended_at": rfc3339(digest.accepted_at),
        "duration_ms": _lasted(digest),
        "known_via": via,
        "next_poll_at": None,
    }


def _lasted(digest: Digest) -> int | None:
    """How long a task took by the upstream's own times, which it need not give (milliseconds)."""
    submitted_at, started_at, finished_at = digest.values[3:]
    since = submitted_at or started_at
    return max(0, parse_rfc3339(finished_at) - parse_rfc3339(since)) if since and finished_at else None


def ended_by(entry: Entry, row: Row) -> dict[str, Any]:
    """What an event that ends a registered task changes of it."""
    return {
        "state": entry.event.type.rpartition(".")[2],
        "next_poll_at": None,
        "ended_at": rfc3339(entry.accepted_at),
        "duration_ms": max(0, entry.accepted_at - row.submitted_at),
    }


def unregistered(task_id: str) -> dict[str, Any]:
    """A task that nobody submitted or watched here: known by a webhook, or by a poll of its owner's, only."""
    row = Row(0, task_id, None, "submitted", None, 0, None, 0, None, None, None, "webhook", ())
    return shown_task(row) | {"submitted_at": None}
