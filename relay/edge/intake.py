"""What may still begin while relay drains, and how much of what has begun is under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from relay.edge.http.problems import ProblemError

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Intake:
    """Asked by each part of the edge before it begins what may become an event."""

    def __init__(self) -> None:
        self.chats = True
        """Whether chats may begin."""
        self.open = True
        """Whether anything may: deliveries, submissions, watched tasks, replayed dead letters."""
        self.under_way = 0
        """Requests that were let in and have not ended. Once it is closed there are no more of them."""

    def require(self, *, chat: bool = False) -> None:
        """Raises ``ProblemError`` (``draining``) for what may not begin any more."""
        if not self.open or (chat and not self.chats):
            raise ProblemError("draining")

    @contextmanager
    def entered(self, *, chat: bool = False) -> Iterator[None]:
        """For as long as a request takes that may begin; raises as ``require`` otherwise."""
        self.require(chat=chat)  # before it counts: who is refused again and again must not keep a drain from ending
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def guarded(self, route: Route) -> Route:
        """The same for a route of the API."""

        async def enter(request: web.Request) -> web.StreamResponse:
            with self.entered():
                return await route(request)

        return enter
