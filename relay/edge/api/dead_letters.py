"""``/v1/dead-letters``: list, inspect, replay, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

from relay.core.clock import rfc3339
from relay.core.dead import redacted_text
from relay.core.dedup import key_of
from relay.core.event import Draft, Event
from relay.core.source import Delivery, NotJSON, Source, Unreadable
from relay.edge.api.guard import json_response, page_limit
from relay.edge.http.problems import ProblemError
from relay.edge.intake import Intake
from relay.journal.journal import Journal
from relay.journal.projections.dead_letters import DeadLetters, HeldDeadLetter

OCTETS = "application/octet-stream"


class DeadLetterRoutes:
    """Serves ``/v1/dead-letters``. ``sources`` reads deliveries again; ``sinks`` are the labels still configured."""

    def __init__(
        self, journal: Journal, sources: Mapping[str, Source], sinks: frozenset[str], intake: Intake | None = None
    ) -> None:
        self._intake = intake or Intake()
        self._journal, self._letters = journal, journal.projection(DeadLetters)
        self._sources = sources
        self._sinks = sinks

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (
            web.get("/v1/dead-letters", self.list),
            web.get("/v1/dead-letters/{id}", self.show),
            web.post("/v1/dead-letters/{id}/replay", self._intake.guarded(self.replay)),
            web.delete("/v1/dead-letters/{id}", self.delete),
        )

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page in the order of the ids; ``next`` is the ``after`` of the next page, null at the end."""
        limit = page_limit(request)
        held = await self._letters.query(DeadLetters.page, request.query.get("after", ""), limit)
        following = held[-1].id if len(held) == limit else None
        return json_response({"dead_letters": [_shown(letter) for letter in held], "next": following})

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One dead letter with its text, in which secrets are withheld: the upstream echoes the webhook's own token.

        With ``Accept: application/octet-stream`` its bytes, exactly as they came.
        """
        letter = await self._held(request)
        raw = letter.raw or b""
        if OCTETS in request.headers.get(hdrs.ACCEPT, ""):
            return web.Response(body=raw, headers={hdrs.CONTENT_TYPE: OCTETS, "X-Content-Type-Options": "nosniff"})
        return json_response(_shown(letter) | {"raw": redacted_text(raw)})

    async def replay(self, request: web.Request) -> web.StreamResponse:
        """Sends it on its way again and, once that is on disk, forgets it.

        Asked twice, or cut by a crash between the two steps, it still goes once: the journal knows the event.
        """
        letter = await self._held(request)
        draft = self._draft_of_event(letter) if letter.event else self._draft_of_delivery(letter)
        receipt = await self._journal.append(draft)
        await self._letters.execute(DeadLetters.delete, letter.id)
        return json_response({"status": receipt.result, "event_id": receipt.event_id})

    async def delete(self, request: web.Request) -> web.StreamResponse:
        if not await self._letters.execute(DeadLetters.delete, request.match_info["id"]):
            raise ProblemError("not_found", "No dead letter has this id.")
        return web.Response(status=204)

    async def _held(self, request: web.Request) -> HeldDeadLetter:
        letter = await self._letters.query(DeadLetters.find, request.match_info["id"])
        if letter is None:
            raise ProblemError("not_found", "No dead letter has this id.")
        return letter

    def _draft_of_delivery(self, letter: HeldDeadLetter) -> Draft:
        source = self._sources.get(letter.origin)
        if source is None:
            raise ProblemError("not_replayable", f"The source {letter.origin} no longer exists.")
        normalized = source.normalize(Delivery(letter.raw or b"", letter.accepted_at))
        if isinstance(normalized, Draft):
            return normalized
        if isinstance(normalized, (Unreadable, NotJSON)):
            raise ProblemError("not_replayable", f"It still cannot be read: {normalized.detail}")
        raise ProblemError("not_replayable", f"It produces no event under the current settings: {normalized.reason}.")

    def _draft_of_event(self, letter: HeldDeadLetter) -> Draft:
        if letter.origin not in self._sinks:
            raise ProblemError("not_replayable", f"The sink {letter.origin} is no longer configured.")
        return Draft(_event(letter), key_of("replay", letter.id), sink=letter.origin)


def _event(letter: HeldDeadLetter) -> Event:
    kept = letter.event or {}
    return Event(data=letter.raw or b"", **{name: kept[name] for name in Event._fields if name in kept})


def _shown(letter: HeldDeadLetter) -> dict[str, Any]:
    """All but its bytes."""
    shown = letter._asdict() | {"accepted_at": rfc3339(letter.accepted_at)}
    del shown["raw"]
    return shown
