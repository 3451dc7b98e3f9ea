"""``/v1/tasks``: lists tasks, shows one, and watches one that was submitted elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import orjson
from aiohttp import web

from relay.clocks import steady_ms
from relay.core.event import TASKS
from relay.core.tasks.events import TASK_ID
from relay.edge.api.guard import json_response
from relay.edge.api.subject_events import page_about, shown, trail_of
from relay.edge.api.task_list import TaskList, ended_by, heard_of, shown_task, unregistered
from relay.edge.http.bodies import Bodies, BodyLimits
from relay.edge.http.problems import ProblemError
from relay.edge.intake import Intake
from relay.journal.journal import Journal
from relay.journal.projections.tasks import ENDED, Tasks

_BODY: Final = BodyLimits(max_body=4096, max_inflight_bytes=1 << 20, timeout=10.0)


class TaskRoutes:
    """Serves ``/v1/tasks``. ``entered`` is called when a task was registered that is to be polled at once."""

    def __init__(self, journal: Journal, entered: Callable[[], None], intake: Intake | None = None) -> None:
        self._intake = intake or Intake()
        self._events = journal.events
        self._entered = entered
        self._tasks = journal.projection(Tasks)
        self._listing = TaskList(journal)
        self._bodies = Bodies(_BODY)

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (
            web.get("/v1/tasks", self.list),
            web.post("/v1/tasks", self._intake.guarded(self.watch)),
            web.get("/v1/tasks/{id}", self.show),
        )

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page of all known tasks, newest first; ``next`` is the ``before`` of the next page, null at the end.

        A page may hold less than ``limit``, or nothing, and lead on: so many were looked at that are not wanted.
        """
        page = await self._listing.page(request)
        counts = await self._tasks.query(Tasks.counts)
        return json_response({**page, "counts": counts})

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
        found = shown_task(row) if row is not None else unregistered(task_id)
        for entry in entries:
            state = entry.event.type.rpartition(".")[2]
            if state in ENDED and found["state"] not in ENDED:  # heard of before it was registered, if it ever was
                found = heard_of(entry) if row is None else found | ended_by(entry, row)
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
