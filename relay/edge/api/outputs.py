"""``/v1/outputs``: lists the outputs of tasks that are archived, and has one tried again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from aiohttp import web

from relay.clocks import steady_ms, wall_ms
from relay.core.archive.events import end_keys, without_query
from relay.core.clock import rfc3339
from relay.edge.api.guard import MAX_OFFSET, json_response, one_of, page_limit, whole_number
from relay.edge.api.ranges import instant, place_in, span_in
from relay.edge.http.problems import ProblemError
from relay.edge.intake import Intake
from relay.journal.event_log import EventLog
from relay.journal.journal import Journal
from relay.journal.projections.outputs import OUTPUT_STATES, OutputRow, Outputs, WantedOutputs

OUTPUT_KINDS: Final = ("image", "video", "audio")
OUTPUT_SELECTIONS: Final = ("all", *OUTPUT_STATES)
"""What the parameter ``state`` may say."""

_PLACE: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
MAX_INDEX: Final = 1_000_000
"""The last place among the outputs of a task that may be asked for."""


class OutputRoutes:
    """Serves ``/v1/outputs``. ``retried`` is called when one is to be tried at once; ``None``: nothing archives."""

    def __init__(self, journal: Journal, retried: Callable[[], None] | None, intake: Intake | None = None) -> None:
        self._outputs, self._retried = journal.projection(Outputs), retried
        self._intake = intake or Intake()

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (
            web.get("/v1/outputs", self.list),
            web.post("/v1/outputs/{task_id}/{index}/retry", self._intake.guarded(self.retry)),
        )

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page, newest first; ``next`` is the ``before`` of the next page, null at the end.

        A page may hold less than ``limit``, or nothing, and lead on: so many were looked at that are not wanted.
        """
        limit, state = page_limit(request), one_of(request, "state", OUTPUT_SELECTIONS, "all")
        kind = one_of(request, "kind", OUTPUT_KINDS, None)
        match, (since, until) = place_in(request, _PLACE, "outputs"), span_in(request)
        wanted = WantedOutputs(None if state == "all" else (state,), kind, since, until)
        before = MAX_OFFSET if match is None else int(match[0])
        rows, following = await self._outputs.query(Outputs.page, before, limit, wanted)
        waiting, _ = await self._outputs.query(Outputs.waiting)
        shown = [shown_output(row) for row in rows]
        return json_response(
            {"outputs": shown, "next": None if following is None else str(following), "waiting": waiting}
        )

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """Has an output tried at once that waits or is lost. Asked again: the same answer."""
        task_id = request.match_info["task_id"]
        index = whole_number(request.match_info["index"], "index", most=MAX_INDEX, default=0)
        if await self._outputs.query(Outputs.find, task_id, index) is None:
            raise ProblemError("not_found", "No output of this task has this index here.")
        if self._retried is None:
            raise ProblemError("not_retriable", "archive.url is not set, so nothing archives outputs.")
        if not await self._outputs.execute(Outputs.retry, task_id, index, wall_ms(), steady_ms()):
            raise ProblemError("not_retriable", "It is archived already.")
        self._retried()
        row = await self._outputs.query(Outputs.find, task_id, index)
        return json_response(None if row is None else shown_output(row))


def shown_output(row: OutputRow) -> dict[str, Any]:
    """An output, as every route shows it."""
    waits = row.state == "waiting"
    return {
        "task_id": row.task_id,
        "index": row.index,
        "kind": row.kind,
        "state": row.state,
        "reason": row.reason,
        "attempts": row.attempts,
        "accepted_at": rfc3339(row.accepted_at),
        "deadline": instant(row.deadline) if waits else None,
        "next_try_at": instant(row.due_at - steady_ms() + wall_ms()) if waits else None,
        "ended_at": instant(row.ended_at),
        "store_key": row.store_key,
        "url": row.url,
        "size": row.size,
        "sha256": row.sha256,
        "content_type": row.content_type,
        "source_url": without_query(row.link),
    }


async def ends_of(events: EventLog, rows: Iterable[OutputRow]) -> list[int]:
    """The offsets of the events that ended these outputs."""
    keys = [key for row in rows for key in end_keys(row.task_id, row.index)]
    known = await events.known(keys) if keys else {}
    return [offset for _, offset in known.values()]
