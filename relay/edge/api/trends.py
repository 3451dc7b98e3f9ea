"""``GET /v1/trends``: what this process did in the last hour, minute by minute."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from relay.core.clock import rfc3339
from relay.edge.api.guard import json_response
from relay.telemetry.trends import Point, Trends


class TrendRoutes:
    def __init__(self, identity: str, trends: Trends) -> None:
        self._identity, self._trends = identity, trends

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (web.get("/v1/trends", self.show),)

    async def show(self, _: web.Request) -> web.StreamResponse:
        """All of it: an hour at most."""
        points, total = self._trends.points()
        shown = [_shown(point) for point in points]
        return json_response({"identity": self._identity, "points": shown, "total": _shown(total)})


def _shown(point: Point) -> dict[str, Any]:
    return {
        "until": rfc3339(point.at),
        "seconds": point.seconds,
        **point.counts,
        "events": point.counts["events"]["all"],
        **point.times,
        "pending": point.pending,
    }
