"""The admin listener: ``/livez``, ``/readyz``, ``/metrics``.

Liveness never looks at a broker: restarting the relay repairs no broker, and cuts everything that works. Readiness
means "can accept durably".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import hdrs, web

from relay.core.errors import RelayError
from relay.edge.api.guard import json_response
from relay.edge.http import problems
from relay.edge.http.local_access import why_of_a_page
from relay.edge.http.server import respond
from relay.telemetry.metrics import CONTENT_TYPE

STALLED_AFTER = 30.0
"""Seconds after which a commit that has not returned counts as a hang of the writer thread."""


LOOK_FOR = 2.0
"""Seconds that a scrape waits for fresh figures at most; Prometheus gives up on it after 10."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Serves the admin routes.

    ``stalled_for`` answers the seconds the commit under way has taken, ``unready`` the reasons not to be sent
    anything, ``exposition`` the metrics. ``on_loopback``: the listener is there, so that web pages are kept out.
    """

    stalled_for: Callable[[], float]
    unready: Callable[[], Sequence[str]]
    exposition: Callable[[], bytes]
    before_scrape: Callable[[], Awaitable[None]]
    on_loopback: bool = False

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (
            web.get("/livez", self.livez),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
        )

    async def livez(self, _: web.Request) -> web.StreamResponse:
        """200 while the event loop answers and the writer thread moves."""
        stalled = self.stalled_for()
        if stalled > STALLED_AFTER:
            return json_response({"status": "stalled", "reasons": [f"a commit has taken {stalled:.0f} s"]}, 503)
        return json_response({"status": "alive"})

    async def readyz(self, _: web.Request) -> web.StreamResponse:
        """200 while deliveries can be accepted durably, 503 with the reasons otherwise."""
        reasons = list(self.unready())
        return json_response({"status": "unready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Prometheus' text format. A journal that hangs or is broken makes the gauges stale, not the scrape fail."""
        if self.on_loopback and (verdict := why_of_a_page(request.headers)):
            return respond(problems.answer(*verdict))
        with suppress(TimeoutError, RelayError):
            async with asyncio.timeout(LOOK_FOR):
                await self.before_scrape()
        return web.Response(body=self.exposition(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})
