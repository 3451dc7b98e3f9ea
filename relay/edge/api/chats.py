"""``GET /v1/chats``: the chats, newest first: those that are open, then those whose end the journal holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, get_args

import orjson
from aiohttp import web

from relay.core.chat.events import Outcome
from relay.core.clock import rfc3339
from relay.core.event import CHAT, Entry
from relay.core.event_filter import EventFilter
from relay.edge.api.guard import MAX_OFFSET, json_response, one_of, page_limit
from relay.edge.api.ranges import Range, newest, place_in, range_in
from relay.journal.journal import Journal
from relay.journal.projections.chats import Chats, NamedChat

OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
CHAT_STATES: Final = ("all", "open", "ended", *OUTCOMES)
"""What the parameter ``state`` may say."""

_PLACE: Final = re.compile(r"(open-)?([0-9]{1,18})", re.ASCII)
_Chat = dict[str, Any]
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")


class ChatRoutes:
    def __init__(self, journal: Journal) -> None:
        self._events = journal.events
        self._chats = journal.projection(Chats)

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (web.get("/v1/chats", self.list),)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page; ``next`` is the ``before`` of the next page, null at the end.

        A page may hold less than ``limit``, or nothing, and lead on: so many were looked at that are not wanted.
        """
        limit = page_limit(request)
        state = one_of(request, "state", CHAT_STATES, "all")
        span = await range_in(request, self._events)
        among_open, before = _place(request)
        found: list[_Chat] = []
        if among_open and state in ("all", "open"):
            rows = await self._chats.query(Chats.page, before, limit)
            if len(rows) == limit:
                return _page(_wanted(request, _open(rows, span)), f"open-{rows[-1].offset}")
            found = _wanted(request, _open(rows, span))
        if state == "open":
            return _page(found, None)
        ended, following = await self._ended(state, MAX_OFFSET if among_open else before, span, limit - len(found))
        return _page(found + _wanted(request, ended), None if following is None else str(following))

    async def _ended(self, state: str, before: int, span: Range, limit: int) -> tuple[Sequence[_Chat], int | None]:
        types = [f"relay.chat.{outcome}" for outcome in OUTCOMES if state in ("all", "ended", outcome)]
        page = await newest(self._events, before, EventFilter((CHAT,), types), span, limit)
        return [_ended_chat(entry) for entry in page.entries], page.next


def _place(request: web.Request) -> tuple[bool, int]:
    """Whether a page begins among the open chats, and below which offset."""
    match = place_in(request, _PLACE, "chats")
    return (True, MAX_OFFSET) if match is None else (match[1] is not None, int(match[2]))


def _wanted(request: web.Request, chats: Sequence[_Chat]) -> list[_Chat]:
    asked = {name: request.query[name] for name in ("model", "client") if request.query.get(name)}
    return [chat for chat in chats if all(chat[name] == value for name, value in asked.items())]


def _page(chats: Sequence[_Chat], following: str | None) -> web.Response:
    return json_response({"chats": chats, "next": following})


def _open(chats: Sequence[NamedChat], span: Range) -> list[_Chat]:
    within = [chat for chat in chats if chat.offset >= span.first and (span.last is None or chat.offset <= span.last)]
    return [
        {
            "chat_id": chat.chat_id,
            "state": "open",
            "reason": None,
            "model": chat.model,
            "client": chat.client,
            "started_at": rfc3339(chat.opened_at),
            "ended_at": None,
            "first_token_ms": None,
            "duration_ms": None,
            "usage": None,
            "offset": chat.offset,
        }
        for chat in within
    ]


def _ended_chat(entry: Entry) -> _Chat:
    data = orjson.loads(entry.event.data)
    usage, timings = data["usage"] or {}, data["timings"]
    return {
        "chat_id": entry.event.subject,
        "state": data["outcome"],
        "reason": data["reason"],
        "model": data["model"],
        "client": data["client"],
        "started_at": timings["started_at"],
        "ended_at": rfc3339(entry.accepted_at),
        "first_token_ms": timings["first_token_ms"],
        "duration_ms": timings["duration_ms"],
        "usage": {name: usage.get(name) for name in _COUNTS} if usage else None,
        "offset": entry.offset,
    }
