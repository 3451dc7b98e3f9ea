"""``GET /v1/chats``: the chats, newest first or sorted: those that are open, and those whose end the journal holds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from aiohttp import web

from relay.clocks import wall_ms
from relay.core.chat.events import Outcome
from relay.core.clock import rfc3339
from relay.core.event_filter import EventFilter
from relay.edge.api.digests import Highest, Look, count_of, look_back, rank_of, text_of
from relay.edge.api.guard import MAX_OFFSET, json_response, one_of, page_limit
from relay.edge.api.ranges import Range, instant, place_in, range_in
from relay.journal.journal import Journal
from relay.journal.projections.chats import Chats, NamedChat
from relay.journal.queries import Digest

OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
CHAT_STATES: Final = ("all", "open", "ended", *OUTCOMES)
"""What the parameter ``state`` may say."""

_Chat = dict[str, Any]

_PLACE: Final = re.compile(r"(open-)?([0-9]{1,18})", re.ASCII)
_RANKED: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})", re.ASCII)
_MOST_OPEN: Final = 10_000
"""Open chats among which the highest are looked for."""

_TOKENS: Final = ("input", "output")
_PATHS: Final = (
    *("$.reason", "$.model", "$.client", "$.api"),
    *("$.timings.started_at", "$.timings.first_token_ms", "$.timings.duration_ms"),
    *(f"$.tokens.{name}" for name in _TOKENS),
)
_MODEL, _CLIENT, _API = (_PATHS.index(f"$.{name}") for name in ("model", "client", "api"))
_DURATION: Final = _PATHS.index("$.timings.duration_ms")

CHAT_SORTS: Final[dict[str, tuple[int, ...]]] = {
    "newest": (),
    "duration": (_DURATION,),
    "tokens": tuple(_PATHS.index(f"$.tokens.{name}") for name in _TOKENS),
    "first_token": (_PATHS.index("$.timings.first_token_ms"),),
}
"""What the parameter ``sort`` may say, and where in a digest the values are whose sum decides what comes first."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a list is to hold. ``equal``: what chats have in common, by its place in a digest."""

    state: str
    equal: Mapping[int, str]
    span: Range
    limit: int

    def takes(self, values: Sequence[Any]) -> bool:
        return all(values[place] == value for place, value in self.equal.items())

    def open(self, rows: Sequence[NamedChat]) -> list[NamedChat]:
        """Those of open chats that belong to it."""
        last = MAX_OFFSET if self.span.last is None else self.span.last
        within = (row for row in rows if self.span.first <= row.offset <= last)
        return [row for row in within if self.takes([None, row.model, row.client, row.api])]

    def ended(self) -> EventFilter:
        """The events that end what belongs to it, but for ``equal``."""
        types = [f"relay.chat.{outcome}" for outcome in OUTCOMES if self.state in ("all", "ended", outcome)]
        return EventFilter(types=types)


class ChatRoutes:
    def __init__(self, journal: Journal, apis: Collection[str]) -> None:
        self._apis = apis
        self._events = journal.events
        self._chats = journal.projection(Chats)

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (web.get("/v1/chats", self.list),)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page; ``next`` is the ``before`` of the next page, null at the end.

        A page may hold less than ``limit``, or nothing, and lead on: so many were looked at that are not wanted.
        """
        state, sort = one_of(request, "state", CHAT_STATES, "all"), one_of(request, "sort", CHAT_SORTS, "newest")
        one_of(request, "api", self._apis, None)
        named = {_MODEL: "model", _CLIENT: "client", _API: "api"}
        equal = {place: value for place, name in named.items() if (value := request.query.get(name))}
        limit, span = page_limit(request), await range_in(request, self._events)
        asked = _Asked(state, equal, span, limit)
        if sort == "newest":
            chats, following, since = *await self._newest(asked, request), None
        else:
            chats, following, since = await self._highest(asked, sort, request)
        return json_response({"chats": chats, "next": following, "searched_since": instant(since)})

    async def _newest(self, asked: _Asked, request: web.Request) -> tuple[Sequence[_Chat], str | None]:
        """Open chats by their beginning, then the others by their end."""
        match = place_in(request, _PLACE, "chats")
        among_open, before = (True, MAX_OFFSET) if match is None else (match[1] is not None, int(match[2]))
        found: list[_Chat] = []
        if among_open and asked.state in ("all", "open"):
            rows = await self._chats.query(Chats.page, before, asked.limit)
            found = [_open_chat(row) for row in asked.open(rows)]
            if len(rows) == asked.limit:
                return found, f"open-{rows[-1].offset}"
        if asked.state == "open":
            return found, None
        known = {chat["chat_id"] for chat in found}  # one may end between the two questions

        def take(digest: Digest) -> bool:
            if asked.takes(digest.values) and digest.subject not in known:
                found.append(_ended_chat(digest))
            return len(found) == asked.limit

        before = asked.span.below(MAX_OFFSET if among_open else before)
        following = await look_back(self._look(asked), before, take, asked.limit)
        return found, None if following is None else str(following)

    async def _highest(
        self, asked: _Asked, sort: str, request: web.Request
    ) -> tuple[Sequence[_Chat], str | None, int | None]:
        """Sorted by a value; and down to when it was looked for, unless to the end."""
        match = place_in(request, _RANKED, "chats")
        highest: Highest[NamedChat | Digest] = Highest(asked.limit, match and tuple(map(int, match.groups())))
        places, known = CHAT_SORTS[sort], set()
        if asked.state in ("all", "open"):
            now = wall_ms()
            for row in asked.open(await self._chats.query(Chats.page, MAX_OFFSET, _MOST_OPEN)):
                known.add(row.chat_id)
                highest.add(rank_of(max(0, now - row.opened_at) if places == (_DURATION,) else None, row.offset), row)

        def take(digest: Digest) -> bool:
            if asked.takes(digest.values) and digest.subject not in known:
                highest.add(rank_of(_sum([digest.values[place] for place in places]), digest.offset), digest)
            return False

        stopped = None
        if asked.state != "open":
            stopped = await look_back(self._look(asked), asked.span.below(MAX_OFFSET), take)
        since = None if stopped is None else await self._events.first_accepted_at(stopped - 1)
        found, following = highest.page()
        chats = [_ended_chat(each) if isinstance(each, Digest) else _open_chat(each) for each in found]
        return chats, following, since

    def _look(self, asked: _Asked) -> Look:
        wanted = asked.ended()
        return lambda before, limit: self._events.digests(before, wanted, asked.span.first, _PATHS, limit)


def _open_chat(chat: NamedChat) -> _Chat:
    return {
        "chat_id": chat.chat_id,
        "state": "open",
        "reason": None,
        "api": chat.api,
        "model": chat.model,
        "client": chat.client,
        "started_at": rfc3339(chat.opened_at),
        "ended_at": None,
        "first_token_ms": None,
        "duration_ms": None,
        "tokens": None,
        "offset": chat.offset,
    }


def _ended_chat(digest: Digest) -> _Chat:
    reason, model, client, api, started_at, first_token_ms, duration_ms, *tokens = digest.values
    counts = {**dict(zip(_TOKENS, map(count_of, tokens), strict=True)), "total": _sum(tokens)}
    return {
        "chat_id": digest.subject,
        "state": digest.type.rpartition(".")[2],
        "reason": reason,
        "api": api,
        "model": text_of(model),
        "client": client,
        "started_at": started_at,
        "ended_at": rfc3339(digest.accepted_at),
        "first_token_ms": first_token_ms,
        "duration_ms": duration_ms,
        "tokens": None if counts["total"] is None else counts,
        "offset": digest.offset,
    }


def _sum(values: Iterable[object]) -> int | None:
    """Of the counts among these; ``None``: there is none."""
    counts = [count for value in values if (count := count_of(value)) is not None]
    return sum(counts) if counts else None
