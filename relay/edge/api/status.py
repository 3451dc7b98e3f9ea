"""``GET /v1/status``: the state of relay, for people and for the console; the metrics show more, and over time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from relay.clocks import steady_ms, wall_ms
from relay.core.clock import rfc3339
from relay.edge.api.guard import json_response
from relay.journal.journal import Journal
from relay.journal.projections.chats import Chats
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.projections.tasks import PENDING, Tasks
from relay.journal.sink_progress import SinkProgress
from relay.journal.volume import free_bytes
from relay.telemetry.signals.sinks import SinkFigures, SinkSignals, Trouble
from relay.telemetry.signals.upstream import UpstreamSignals


@dataclass(frozen=True, slots=True)
class Process:
    """Which relay this is. ``started_at``: epoch milliseconds."""

    version: str
    identity: str
    started_at: int


class StatusRoutes:
    """Serves ``/v1/status``.

    ``sinks`` are the configured ones; ``unready`` says why nothing should be sent here; ``drain`` shows the drain.
    """

    def __init__(
        self,
        process: Process,
        journal: Journal,
        sinks: Mapping[str, SinkSignals],
        upstream: UpstreamSignals,
        unready: Callable[[], Sequence[str]],
        drain: Callable[[], dict[str, Any]],
    ) -> None:
        self._process, self._journal, self._sinks = process, journal, sinks
        self._letters, self._chats = journal.projection(DeadLetters), journal.projection(Chats)
        self._tasks = journal.projection(Tasks)
        self._upstream, self._unready, self._drain = upstream, unready, drain

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (web.get("/v1/status", self.show),)

    async def show(self, _: web.Request) -> web.StreamResponse:
        """All of it at once; looked at now, not at the last scrape."""
        process, journal = self._process, self._journal
        reasons = list(self._unready())
        return json_response(
            {
                "version": process.version,
                "identity": process.identity,
                "started_at": rfc3339(process.started_at),
                "now": rfc3339(wall_ms()),
                "ready": {"ok": not reasons, "reasons": reasons},
                "drain": self._drain(),
                "journal": {
                    "id": journal.progress.journal_id,
                    "events": journal.events.count(),
                    "bytes": journal.condition.size,
                    "disk_free_bytes": await asyncio.to_thread(free_bytes, journal.path.parent),
                    "last_offset": journal.events.last_offset,
                    "dead_letters": await self._letters.query(DeadLetters.count),
                },
                "sinks": [await self._sink(label, signals) for label, signals in self._sinks.items()],
                "chats": {"open": await self._chats.query(Chats.count)},
                "tasks": await self._registry(),
                "upstream": {"up": self._upstream.up},
            }
        )

    async def _sink(self, label: str, signals: SinkSignals) -> dict[str, Any]:
        return {
            "label": label,
            "type": signals.system,
            "up": signals.up,
            "trouble": _trouble(signals.trouble),
            "offset": self._journal.progress.position(label),
            **asdict(await figures_of(self._journal.progress, label)),
        }

    async def _registry(self) -> dict[str, Any]:
        counts = await self._tasks.query(Tasks.counts)
        return {
            "counts": counts,
            "pending": sum(counts[state] for state in PENDING),
            "overdue": await self._tasks.query(Tasks.overdue, steady_ms()),
        }


async def figures_of(progress: SinkProgress, sink: str) -> SinkFigures:
    """Where a sink's events are, and how old the oldest is that it has not got."""
    oldest = await progress.oldest_pending_at(sink)
    saved = progress.saved(sink)
    return SinkFigures(
        accepted=progress.accepted(sink),
        published=saved.published,
        pending=progress.pending(sink),
        dead=saved.dead,
        absorbed=saved.absorbed,
        lag_seconds=0.0 if oldest is None else max(0.0, time.time() - oldest / 1000),
    )


def _trouble(trouble: Trouble | None) -> dict[str, Any] | None:
    return None if trouble is None else {**asdict(trouble), "since": rfc3339(trouble.since)}
