"""``/v1/drain``: has relay publish everything, and then take nothing more; takes that back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

from aiohttp import web

from relay.core.clock import rfc3339
from relay.core.units import parse_duration
from relay.edge.api.guard import json_response
from relay.edge.http.problems import ProblemError
from relay.edge.intake import Intake

DrainState = Literal["none", "draining", "drained"]

ACCEPT_FOR: Final = "10s"
"""For how long everything is taken by default: a kubelet and most balancers look every few seconds."""
MOST: Final = 3600.0
"""Seconds for which everything may be taken at most."""


class Drainable(Protocol):
    """What can be drained: see ``relay.app.drain.Drain``."""

    since: int | None

    @property
    def state(self) -> DrainState: ...

    def begin(self, accept_for: float) -> None: ...

    def cancel(self) -> bool: ...


class DrainRoutes:
    def __init__(self, drain: Callable[[], Drainable], intake: Intake) -> None:
        self._drain, self._intake = drain, intake

    def routes(self) -> tuple[web.RouteDef, ...]:
        return web.post("/v1/drain", self.begin), web.delete("/v1/drain", self.cancel)

    def shown(self) -> dict[str, Any]:
        """The drain as JSON."""
        drain, intake = self._drain(), self._intake
        since = None if drain.since is None else rfc3339(drain.since)
        return {"state": drain.state, "since": since, "accepting": intake.open, "accepting_chats": intake.chats}

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Begins, or shows the one that is under way."""
        self._drain().begin(_accept_for(request))
        return json_response(self.shown())

    async def cancel(self, _: web.Request) -> web.StreamResponse:
        """Takes it back, if there is one and the relay does not end."""
        if not self._drain().cancel():
            raise ProblemError("draining", "This relay is shutting down.")
        return json_response(self.shown())


def _accept_for(request: web.Request) -> float:
    text = request.query.get("accept_for", ACCEPT_FOR)
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ProblemError("bad_request", f"accept_for {error}.") from None
    if seconds > MOST:
        raise ProblemError("bad_request", "accept_for must be at most 1h.")
    return seconds
