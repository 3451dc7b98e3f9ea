"""``GET /v1/chats``: the open chats."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from relay.core.clock import rfc3339
from relay.edge.api.guard import json_response, page_after, page_limit
from relay.journal.journal import Projected
from relay.journal.projections.chats import Chats, NamedChat


class ChatRoutes:
    """Serves ``/v1/chats``."""

    def __init__(self, chats: Projected[Chats]) -> None:
        self._chats = chats

    def routes(self) -> tuple[web.RouteDef, ...]:
        """What is served, and where."""
        return (web.get("/v1/chats", self.list),)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page in the order of their beginning; ``next`` is the ``after`` of the next page, null at the end."""
        after = page_after(request)
        limit = page_limit(request)
        found = await self._chats.query(Chats.page, after, limit)
        following = found[-1].offset if len(found) == limit else None
        return json_response({"chats": [_shown(chat) for chat in found], "next": following})


def _shown(chat: NamedChat) -> dict[str, Any]:
    return {
        "chat_id": chat.chat_id,
        "model": chat.model,
        "client": chat.client,
        "opened_at": rfc3339(chat.opened_at),
        "offset": chat.offset,
    }
