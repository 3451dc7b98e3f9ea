"""``/v1/subjects/{subject}``: the timeline of one task or chat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay.apis import apis
from relay.core.chat.events import Opening, chunk_draft, chunk_key, started_draft
from relay.core.chat.recovery import closed_by_restart
from relay.core.dead import refused_draft, unreadable_draft
from relay.core.dedup import key_of
from relay.core.event import Draft
from relay.core.sink import Refused
from relay.core.source import Delivery, Unreadable
from relay.core.tasks.events import bare_task, submitted_draft
from relay.edge.api import subject_events
from relay.edge.api.subjects import SubjectRoutes
from relay.edge.api.tasks import TaskRoutes
from relay.journal import queries
from relay.journal.journal import Journal
from relay.sources.novita_task import NovitaTask
from tests.services.raw_http import Answer, ask, get
from tests.unit.edge.serving import api, opened, task

AT = 1_700_000_000_000
TIME = "2026-01-01T00:00:00.000Z"


@dataclass
class Scene:
    """The routes being served, and the journal behind them."""

    url: str
    journal: Journal

    async def ask(self, subject: str, query: str = "") -> Answer:
        return await ask(self.url, get(f"/v1/subjects/{subject}{query}"))

    async def timeline(self, subject: str, query: str = "") -> Any:
        answer = await self.ask(subject, query)
        assert answer.status == 200
        return answer.json

    async def webhook(self, task_id: str, image: str = "a") -> None:
        draft = NovitaTask().normalize(Delivery(task(task_id, image=f"https://x/{image}"), AT))
        assert isinstance(draft, Draft)
        await self.journal.append(draft)

    async def submit(self, task_id: str) -> None:
        await self.journal.append(submitted_draft(bare_task(task_id, "submitted", via="submit", received_at=AT)))

    async def refuse(self, offset: int, sink: str) -> str:
        """That a sink refused the event at an offset; the id of its letter."""
        [entry] = await self.journal.events.read(offset - 1, 1)
        letter = refused_draft(entry, Refused("too_large", "1 MB"), origin=sink, refused_at=AT)
        return (await self.journal.append(letter)).event_id

    async def stream(self, chat_id: str, chunks: int) -> None:
        """A chat from its beginning to its end, other events between its chunks."""
        beginning = started_draft(Opening(chat_id, AT, 0.0))
        await self.journal.append(beginning)
        for n in range(chunks):
            await self.journal.append(chunk_draft(chat_id, chunk_key(chat_id), n, [b"{}"], time=TIME))
            await self.webhook(f"beside-{chat_id}-{n}")
        await self.journal.append(closed_by_restart(beginning.event, [], AT, apis()).terminal)


@asynccontextmanager
async def scene(tmp_path: Path, *sinks: str) -> AsyncIterator[Scene]:
    async with opened(tmp_path, *sinks) as journal:
        routes = {
            "GET /v1/subjects": SubjectRoutes(journal).search,
            "GET /v1/subjects/{subject}": SubjectRoutes(journal).show,
            "GET /v1/tasks/{id}": TaskRoutes(journal, lambda: None).show,
        }
        async with api(routes) as url:
            yield Scene(url, journal)


def kinds(shown: Any) -> list[tuple[int, str]]:
    return [(entry["offset"], entry["event"]["type"].removeprefix("relay.")) for entry in shown["events"]]


async def test_a_task_is_shown_from_its_submission_to_what_contradicts_it(tmp_path: Path) -> None:
    """Somebody who asks what became of a task would have to read the whole journal."""
    async with scene(tmp_path) as s:
        await s.submit("t1")
        await s.submit("t2")
        await s.webhook("t1")
        await s.webhook("t1", image="b")
        shown = await s.timeline("t1")
        assert kinds(shown) == [(1, "task.submitted"), (3, "task.succeeded"), (4, "task.conflicted")]
        assert (shown["subject"], shown["kind"], shown["task"]["state"]) == ("t1", "task", "succeeded")
        assert (shown["truncated"], shown["next"]) == (False, None)
        assert {entry["sink"] for entry in shown["events"]} == {None}


async def test_contradictions_of_a_task_that_nobody_registered_are_found(tmp_path: Path) -> None:
    """Where webhooks come without a submission, a contradiction would be on the sinks and nowhere else."""
    async with scene(tmp_path) as s:
        for image in "abc":
            await s.webhook("t1", image)
        shown = await s.timeline("t1")
        assert kinds(shown) == [(1, "task.succeeded"), (2, "task.conflicted"), (3, "task.conflicted")]
        assert (shown["kind"], shown["task"]) == ("task", None)
        as_task = (await ask(s.url, get("/v1/tasks/t1"))).json
        assert kinds(as_task) == kinds(shown)


async def test_a_chat_stream_is_shown_with_its_chunks_in_order(tmp_path: Path) -> None:
    """A conversation could not be read while it grows, or would be mixed with others."""
    async with scene(tmp_path) as s:
        await s.stream("s1", 3)
        await s.stream("s2", 2)
        shown = await s.timeline("s1")
        assert [kind for _, kind in kinds(shown)] == ["chat.started", *["chat.chunk"] * 3, "chat.failed"]
        assert [entry["event"]["subject"] for entry in shown["events"]] == ["s1"] * 5
        sequences = [entry["event"]["data"]["first_sequence"] for entry in shown["events"][1:4]]
        assert sequences == [0, 1, 2]
        assert (shown["kind"], shown["task"]) == ("chat", None)


async def test_chunks_are_found_after_their_keys_were_merged(tmp_path: Path) -> None:
    """A stream would lose its text a minute after it was said."""
    async with scene(tmp_path) as s:
        await s.stream("s1", 3)
        before = await s.timeline("s1")
        await s.journal.maintenance._merge()
        assert await s.timeline("s1") == before


async def test_a_long_timeline_comes_in_pages(tmp_path: Path) -> None:
    """One question about a stream of hours would hold up the commits."""
    async with scene(tmp_path) as s:
        await s.stream("s1", 7)
        seen: list[tuple[int, str]] = []
        after: int | None = 0
        while after is not None:
            page = await s.timeline("s1", f"?limit=2&after={after}")
            assert page["truncated"] == (page["next"] is not None)
            assert page["kind"] == "chat"
            seen += kinds(page)
            after = page["next"]
        assert seen == kinds(await s.timeline("s1"))
        assert len(seen) == 9


async def test_a_page_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand large events would be one answer of a gigabyte."""
    monkeypatch.setattr(subject_events, "MAX_BYTES", 100)
    async with scene(tmp_path) as s:
        await s.stream("s1", 3)
        first = await s.timeline("s1")
        assert 0 < len(first["events"]) < 5
        assert first["next"] == first["events"][-1]["offset"]
        assert first["truncated"]


async def test_dead_letters_about_a_subject_are_shown(tmp_path: Path) -> None:
    """A task whose delivery could not be read would look as if nothing had come."""
    async with scene(tmp_path, "kafka") as s:
        await s.webhook("t1")
        refused = await s.refuse(1, "kafka")
        unreadable = Unreadable("unknown_status", "?", "t1")
        other = (await s.journal.append(unreadable_draft(Delivery(b"{}", AT), unreadable, origin="novita"))).event_id
        shown = await s.timeline("t1")
        assert kinds(shown) == [(1, "task.succeeded"), (2, "delivery.dead"), (3, "delivery.dead")]
        assert [(each["id"], each["reason"], each["origin"]) for each in shown["dead_letters"]] == [
            (refused, "too_large", "kafka"),
            (other, "unknown_status", "novita"),
        ]
        assert shown["dead_letters"][0]["event_offset"] == 1


async def test_a_delivery_that_names_no_task_is_its_own_subject(tmp_path: Path) -> None:
    """The link from a dead letter to its timeline would lead nowhere."""
    async with scene(tmp_path) as s:
        draft = unreadable_draft(Delivery(b"[]", AT), Unreadable("not_an_object", "?"), origin="novita")
        letter = (await s.journal.append(draft)).event_id
        shown = await s.timeline(letter)
        assert (shown["kind"], kinds(shown)) == ("delivery", [(1, "delivery.dead")])
        assert [each["id"] for each in shown["dead_letters"]] == [letter]


async def test_a_replay_is_shown_with_the_sink_that_it_is_for(tmp_path: Path) -> None:
    """Where a refused event went after its replay could not be seen."""
    async with scene(tmp_path, "kafka", "redis") as s:
        await s.webhook("t1")
        [entry] = await s.journal.events.read(0, 1)
        await s.journal.append(Draft(entry.event, key_of("replay", "x"), sink="kafka"))
        shown = await s.timeline("t1")
        assert [(entry["offset"], entry["sink"]) for entry in shown["events"]] == [(1, None), (2, "kafka")]
        assert [(each["offset"], each["sink"]) for each in shown["publications"]] == [
            (1, "kafka"),
            (1, "redis"),
            (2, "kafka"),
        ]
        as_task = (await ask(s.url, get("/v1/tasks/t1"))).json
        assert kinds(as_task) == [(1, "task.succeeded")]


async def test_where_events_are_and_how_often_they_were_repeated(tmp_path: Path) -> None:
    """The history would end at the journal, or show repetitions without a count."""
    async with scene(tmp_path, "kafka", "redis") as s:
        await s.submit("t1")
        for via, times in (("webhook", 3), ("poll", 1)):
            draft = NovitaTask().normalize(Delivery(task("t1"), AT, via))  # type: ignore[arg-type]
            assert isinstance(draft, Draft)
            for _ in range(times):
                await s.journal.append(draft)
        await s.submit("t1")
        s.journal.progress.advance("kafka", 2, published=1, dead=1, exceptions=[(2, "dead")])
        shown = await s.timeline("t1")
        published_at = [each.pop("published_at") for each in shown["publications"]]
        assert shown["publications"] == [
            {"sink": "kafka", "offset": 1, "state": "published"},
            {"sink": "redis", "offset": 1, "state": "pending"},
            {"sink": "kafka", "offset": 2, "state": "dead"},
            {"sink": "redis", "offset": 2, "state": "pending"},
        ]
        assert [at is not None for at in published_at] == [True, False, False, False]
        submitted, ended = shown["duplicates"]
        assert (submitted["offset"], submitted["count"], submitted["observed_via"]) == (1, 1, {"submit": 1})
        assert (ended["offset"], ended["count"], ended["observed_via"]) == (2, 3, {"poll": 1, "webhook": 2})
        assert "2026" < ended["first_at"] <= ended["last_at"]


@pytest.mark.parametrize("subject", ["nobody", "x" * 300, "%00", "a%2Fb", "%F0%9F%92%A9"])
async def test_a_subject_that_nobody_knows_is_not_found(tmp_path: Path, subject: str) -> None:
    """An odd id would be an error of the relay's, or a timeline of nothing."""
    async with scene(tmp_path) as s:
        await s.webhook("t1")
        answer = await s.ask(subject)
        assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("query", ["?after=-1", "?limit=0", "?limit=1001"])
async def test_a_page_that_cannot_be_is_refused(tmp_path: Path, query: str) -> None:
    """A typing mistake in a parameter would return half of the history."""
    async with scene(tmp_path) as s:
        await s.webhook("t1")
        answer = await s.ask("t1", query)
        assert (answer.status, answer.code) == (400, "bad_request")


# -- search ----------------------------------------------------------------------------------------------------------


async def search(s: Scene, query: str) -> tuple[list[tuple[str, str]], int | None]:
    answer = await ask(s.url, get(f"/v1/subjects?{query}"))
    assert answer.status == 200, answer.body
    return [(each["subject"], each["kind"]) for each in answer.json["subjects"]], answer.json["next"]


async def test_what_begins_so_is_found_whatever_it_is(tmp_path: Path) -> None:
    """Who has the first characters of an id, from a log line that was cut, would find nothing."""
    async with scene(tmp_path) as s:
        await s.webhook("ab-heard")
        await s.submit("ab-submitted")
        await s.stream("ab-ended", 3)
        await s.journal.append(started_draft(Opening("ab-open", AT, 0.0)))
        await s.webhook("ac-other")
        expected = [("ab-submitted", "task"), ("ab-open", "chat"), ("ab-ended", "chat"), ("ab-heard", "task")]
        assert await search(s, "prefix=ab-") == (expected, None)
        assert await search(s, "prefix=ab-ended") == ([("ab-ended", "chat")], None)
        assert await search(s, "prefix=AB-") == ([], None)
        assert await search(s, "prefix=ab_") == ([], None), "no character stands for another"
        draft = unreadable_draft(Delivery(b"[]", AT), Unreadable("not_an_object", "?"), origin="novita")
        letter = (await s.journal.append(draft)).event_id
        assert await search(s, f"prefix={letter[:8]}") == ([(letter, "delivery")], None)


async def test_a_search_is_bounded_and_leads_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for a rare id in a large journal would read all of it at once, or never reach the oldest events."""
    monkeypatch.setattr(queries, "SCAN", 3)
    async with scene(tmp_path) as s:
        for name in ("ab-1", "x1", "ab-2", "x2", "ab-3", "ab-4", "x3"):
            await s.webhook(name)
        assert await search(s, "prefix=ab") == ([("ab-4", "task"), ("ab-3", "task")], 5)
        assert await search(s, "prefix=ab&before=5") == ([("ab-2", "task")], 2)
        assert await search(s, "prefix=ab&before=2") == ([("ab-1", "task")], None)
        assert await search(s, "prefix=ab&limit=1") == ([("ab-4", "task")], 6)
        assert await search(s, "prefix=ab&before=6&limit=1") == ([("ab-3", "task")], 5)
        assert await search(s, "prefix=ab-1&limit=1") == ([("ab-1", "task")], 8), "an index has it, whatever its age"
        for n in range(5):
            await s.submit(f"ab-s{n}")
        found, following = await search(s, "prefix=ab-s&limit=2")
        assert (found, following) == ([("ab-s0", "task"), ("ab-s1", "task")], 13)


@pytest.mark.parametrize(
    "query", ["", "prefix=", "prefix=a%20b", "prefix=%25", f"prefix={'a' * 129}", "prefix=a&limit=0"]
)
async def test_what_is_no_beginning_of_an_id_is_refused(tmp_path: Path, query: str) -> None:
    """A search with a slip would answer that there is nothing."""
    async with scene(tmp_path) as s:
        answer = await ask(s.url, get(f"/v1/subjects?{query}"))
        assert (answer.status, answer.code) == (400, "bad_request")
        assert ("limit" if "limit" in query else "prefix") in answer.json["detail"]
