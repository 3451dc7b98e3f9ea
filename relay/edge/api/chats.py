"""``GET /v1/streams``: the chat streams that are open."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from relay.core.clock import rfc3339
from relay.edge.api.guard import json_response, whole_number
from relay.journal.journal import Journal
from relay.journal.projections.chats import NamedStream, Streams

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
MAX_OFFSET: Final = (1 << 63) - 1


class StreamRoutes:
    """Serves ``/v1/streams``."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def routes(self) -> tuple[web.RouteDef, ...]:
        """What is served, and where."""
        return (web.get("/v1/streams", self.list),)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page in the order of their beginning; ``next`` is the ``after`` of the next page, null at the end."""
        after = whole_number(request.query.get("after"), "after", most=MAX_OFFSET, default=0)
        limit = whole_number(request.query.get("limit"), "limit", least=1, most=MAX_LIMIT, default=DEFAULT_LIMIT)
        found = await self._journal.ask(Streams, Streams.page, after, limit)
        following = found[-1].offset if len(found) == limit else None
        return json_response({"streams": [_shown(stream) for stream in found], "next": following})


def _shown(stream: NamedStream) -> dict[str, Any]:
    return {
        "chat_id": stream.chat_id,
        "model": stream.model,
        "client": stream.client,
        "opened_at": rfc3339(stream.opened_at),
        "offset": stream.offset,
    }
