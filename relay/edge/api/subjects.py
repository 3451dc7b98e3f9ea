"""``GET /v1/subjects/{subject}``: the timeline of one task or one chat; ``GET /v1/subjects`` finds them by prefix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice
from typing import Any, Final

from aiohttp import web

from relay.core.chat.api import Api
from relay.core.clock import rfc3339
from relay.core.event import TASKS
from relay.core.tasks.events import TASK_ID
from relay.edge.api.guard import MAX_OFFSET, is_wanted, json_response, page_after, page_limit
from relay.edge.api.outputs import ends_of, shown_output
from relay.edge.api.ranges import instant, place_before
from relay.edge.api.subject_events import Page, Trail, all_shown, page_about, trail_of
from relay.edge.api.task_list import shown_task
from relay.edge.http.problems import ProblemError
from relay.journal.journal import Journal
from relay.journal.projections.chats import Chats
from relay.journal.projections.dead_letters import DeadLetters, HeldDeadLetter
from relay.journal.projections.history import History, Repetition
from relay.journal.projections.outputs import Outputs
from relay.journal.projections.tasks import Row, Tasks
from relay.journal.publications import Publication, Publications
from relay.journal.queries import SubjectKind

MAX_DEAD_LETTERS: Final = 100


class SubjectRoutes:
    def __init__(self, journal: Journal, apis: Sequence[Api] = ()) -> None:
        self._apis = apis
        self._events, self._tasks = journal.events, journal.projection(Tasks)
        self._chats = journal.projection(Chats)
        self._letters, self._history = journal.projection(DeadLetters), journal.projection(History)
        self._outputs = journal.projection(Outputs)
        self._publications = Publications(journal.events, journal.progress, self._history)

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (web.get("/v1/subjects", self.search), web.get("/v1/subjects/{subject}", self.show))

    async def search(self, request: web.Request) -> web.StreamResponse:
        """A page of subjects whose ids begin so.

        First those that an index has: the one with just this id, registered tasks and open chats. There is none of
        ended chats, nor of tasks that relay only heard of: those are looked for among the newest events, and below
        ``next`` of the page before.
        """
        prefix = request.query.get("prefix", "")
        if not TASK_ID.fullmatch(prefix):
            detail = "The parameter prefix must be the beginning of an id: 1 to 128 of A-Z, a-z, 0-9 and . _ : -."
            raise ProblemError("bad_request", detail)
        limit, before = page_limit(request), place_before(request)
        found = await self._indexed(prefix, limit) if before is None else {}
        page = await self._events.subjects(prefix, MAX_OFFSET if before is None else before, limit - len(found))
        found |= {subject: kind for subject, kind in page.found if subject not in found}
        shown = [{"subject": subject, "kind": kind} for subject, kind in found.items()]
        return json_response({"subjects": shown, "next": page.next})

    async def _indexed(self, prefix: str, limit: int) -> dict[str, SubjectKind]:
        trail = await trail_of(self._events, prefix)
        found: dict[str, SubjectKind] = {prefix: "chat" if trail.chat else "task"} if trail.chat or trail.task else {}
        found |= dict.fromkeys(await self._tasks.query(Tasks.beginning_with, prefix, limit), "task")
        found |= dict.fromkeys(await self._chats.query(Chats.beginning_with, prefix, limit), "chat")
        return dict(islice(found.items(), limit))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Its events in order, where and when each was published, what was absorbed, what could not go on."""
        subject = request.match_info["subject"]
        after = page_after(request)
        limit = page_limit(request)
        apis = self._apis if is_wanted(request, "choices") else ()
        row = await self._tasks.query(Tasks.find, subject)
        trail = await trail_of(self._events, subject)
        outputs = await self._outputs.query(Outputs.about, subject)
        noted = [*(row.offsets if row is not None else ()), *await ends_of(self._events, outputs)]
        page = await page_about(self._events, subject, trail, noted=noted, after=after, limit=limit)
        letters = await self._letters.query(DeadLetters.about, subject, MAX_DEAD_LETTERS + 1)
        kind = _kind(subject, row, trail, page, letters)
        if kind is None:
            raise ProblemError("not_found", "No task, chat or delivery has this id here.")
        publications = await self._publications.of(page.entries)
        repetitions = await self._history.query(History.repetitions, [entry.offset for entry in page.entries])
        return json_response(
            {
                "subject": subject,
                "kind": kind,
                "task": None if row is None else shown_task(row),
                "events": [
                    place | {"sink": entry.sink}
                    for entry, place in zip(page.entries, await all_shown(page.entries, apis), strict=True)
                ],
                "next": page.next,
                "truncated": page.next is not None or len(letters) > MAX_DEAD_LETTERS,
                "publications": [_publication(each) for each in publications],
                "duplicates": _duplicates(repetitions),
                "outputs": [shown_output(output) for output in outputs],
                "dead_letters": [_letter(letter) for letter in letters[:MAX_DEAD_LETTERS]],
            }
        )


def _kind(subject: str, row: Row | None, trail: Trail, page: Page, letters: list[HeldDeadLetter]) -> SubjectKind | None:
    if trail.chat:
        return "chat"
    if row is not None or trail.task or any(entry.event.topic == TASKS for entry in page.entries):
        return "task"
    known = [*(entry.event.id for entry in page.entries), *(letter.id for letter in letters)]
    if not known:
        return None
    return "delivery" if subject in known else "task"


def _duplicates(repetitions: Sequence[Repetition]) -> list[dict[str, Any]]:
    """One row for each fact that was reported again, in however many ways."""
    return [_duplicate(offset, list(ways)) for offset, ways in groupby(repetitions, key=lambda each: each.offset)]


def _duplicate(offset: int, ways: Sequence[Repetition]) -> dict[str, Any]:
    return {
        "offset": offset,
        "count": sum(way.times for way in ways),
        "first_at": rfc3339(min(way.first_at for way in ways)),
        "last_at": rfc3339(max(way.last_at for way in ways)),
        "observed_via": {way.via: way.times for way in ways},
    }


def _publication(publication: Publication) -> dict[str, Any]:
    return {
        "sink": publication.sink,
        "offset": publication.offset,
        "state": publication.state,
        "published_at": instant(publication.at),
    }


def _letter(letter: HeldDeadLetter) -> dict[str, Any]:
    named = {name: getattr(letter, name) for name in ("id", "origin", "reason", "accepted_at", "event_offset")}
    return named | {"accepted_at": rfc3339(letter.accepted_at)}
