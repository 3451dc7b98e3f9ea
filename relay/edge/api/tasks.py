"""``/v1/tasks``: lists tasks, shows one, and watches one that was submitted elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final

import orjson
from aiohttp import web

from relay.clocks import steady_ms
from relay.core.clock import rfc3339
from relay.core.event import TASKS
from relay.core.tasks.events import TASK_ID
from relay.core.units import parse_duration
from relay.edge.api.guard import json_response, page_after, page_limit
from relay.edge.api.subject_events import page_about, shown, trail_of
from relay.edge.http.bodies import Bodies, BodyLimits
from relay.edge.http.problems import ProblemError
from relay.journal.journal import Journal
from relay.journal.projections.tasks import ENDED, PENDING, STATES, Row, Tasks, Wanted

_BODY: Final = BodyLimits(max_body=4096, max_inflight_bytes=1 << 20, timeout=10.0)
SELECTIONS: Final[dict[str, Collection[str] | None]] = {
    **{state: (state,) for state in STATES},
    "pending": PENDING,
    "overdue": PENDING,
    "ended": ENDED,
    "all": None,
}
"""What the parameter ``state`` may say, and the states meant; ``None``: all."""


class TaskRoutes:
    """Serves ``/v1/tasks``. ``entered`` is called when a task was registered that is to be polled at once."""

    def __init__(self, journal: Journal, entered: Callable[[], None]) -> None:
        self._events = journal.events
        self._entered = entered
        self._tasks = journal.projection(Tasks)
        self._bodies = Bodies(_BODY)

    def routes(self) -> tuple[web.RouteDef, ...]:
        """What is served, and where."""
        return (
            web.get("/v1/tasks", self.list),
            web.post("/v1/tasks", self.watch),
            web.get("/v1/tasks/{id}", self.show),
        )

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page in the order of registration; ``next`` is the ``after`` of the next page, null at the end.

        A page may hold less than ``limit``, or nothing, and lead on: so many were looked at that are not wanted.
        """
        after = page_after(request)
        limit = page_limit(request)
        rows, following = await self._tasks.query(Tasks.page, after, limit, _wanted(request))
        counts = await self._tasks.query(Tasks.counts)
        return json_response({"tasks": [shown_task(row) for row in rows], "next": following, "counts": counts})

    async def show(self, request: web.Request) -> web.StreamResponse:
        """What is known of one task, and the events about it that the journal still holds."""
        known = await self._known(request.match_info["id"])
        if known is None:
            raise ProblemError("not_found", "No task with this id was submitted, watched or reported here.")
        return json_response(known)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """Registers a task that was submitted elsewhere, to be polled until it ends. Asked again: the same answer."""
        async with self._bodies.received(request) as received:
            task_id = _task_id(received.body)
        if (known := await self._known(task_id)) is not None:
            return json_response(known)
        await self._tasks.execute(Tasks.watch, task_id, steady_ms())
        self._entered()
        return json_response(await self._known(task_id), 201)

    async def _known(self, task_id: str) -> dict[str, Any] | None:
        row = await self._tasks.query(Tasks.find, task_id)
        trail = replace(await trail_of(self._events, task_id), chat=())
        noted = row.offsets if row is not None else ()
        page = await page_about(self._events, task_id, trail, noted=noted)
        # A replay for one sink was here before, under its first offset.
        entries = [entry for entry in page.entries if entry.event.topic == TASKS and entry.sink is None]
        if row is None and not entries:
            return None
        found = shown_task(row) if row is not None else _unregistered(task_id)
        for entry in entries:
            state = entry.event.type.rpartition(".")[2]
            if state in ENDED and found["state"] not in ENDED:  # heard of before it was registered, if it ever was
                found |= {"state": state, "next_poll_at": None, "ended_at": rfc3339(entry.accepted_at)}
        return found | {"events": [shown(entry) for entry in entries]}


def _task_id(body: bytes | bytearray) -> str:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ProblemError("not_json") from None
    if not isinstance(document, dict) or set(document) != {"task_id"}:
        raise ProblemError("bad_request", 'The body must be an object with the single key task_id: {"task_id": "..."}.')
    task_id = document["task_id"]
    if not isinstance(task_id, str) or not TASK_ID.fullmatch(task_id):
        raise ProblemError("bad_request", f"task_id must be a string that matches {TASK_ID.pattern}.")
    return task_id


def _wanted(request: web.Request) -> Wanted:
    state = request.query.get("state", "all")
    if state not in SELECTIONS:
        raise ProblemError("bad_request", f"The parameter state must be one of {', '.join(SELECTIONS)}.")
    return Wanted(
        SELECTIONS[state],
        request.query.get("type") or None,
        _before(request.query.get("older_than")),
        overdue_at=steady_ms() if state == "overdue" else None,
    )


def _before(age: str | None) -> int | None:
    if age is None:
        return None
    try:
        seconds = parse_duration(age)
    except ValueError as error:
        raise ProblemError("bad_request", f"The parameter older_than {error}.") from None
    return steady_ms() - round(seconds * 1000)


def shown_task(row: Row) -> dict[str, Any]:
    """A registered task, as every route shows it."""
    return {
        "task_id": row.task_id,
        "task_type": row.task_type,
        "state": row.state,
        "reason": row.reason,
        "submitted_at": rfc3339(row.submitted_at),
        "ended_at": instant(row.ended_at),
        "polls": row.polls,
        "next_poll_at": instant(row.due_at),
        "trouble": row.trouble,
        "trouble_since": instant(row.trouble_since),
    }


def _unregistered(task_id: str) -> dict[str, Any]:
    """A task that nobody submitted or watched here: known by a webhook only."""
    row = Row(0, task_id, None, "submitted", None, 0, None, 0, None, None, None, ())
    return shown_task(row) | {"submitted_at": None}


def instant(ms: int | None) -> str | None:
    """An instant in epoch milliseconds as answers show it."""
    return None if ms is None else rfc3339(ms)
