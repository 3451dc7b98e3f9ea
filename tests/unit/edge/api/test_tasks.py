"""``/v1/tasks``: tasks listed, shown and watched."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relay.core.event import Draft
from relay.core.source import Delivery
from relay.core.tasks.events import abandoned_draft, bare_task, submitted_draft
from relay.edge.api.tasks import TaskRoutes
from relay.journal.journal import Journal
from relay.journal.projections.tasks import Tasks
from relay.sources.novita_task import NovitaTask
from tests.services.raw_http import Answer, ask, get
from tests.unit.edge.serving import api, opened, task

AT = 1_700_000_000_000


@dataclass
class Scene:
    """The routes being served, and the journal behind them. ``entered`` counts the calls to poll at once."""

    url: str
    journal: Journal
    entered: list[None] = field(default_factory=list)

    async def get(self, path: str = "") -> Answer:
        return await ask(self.url, get(f"/v1/tasks{path}"))

    async def watch(self, body: bytes, *headers: str) -> Answer:
        head = [f"Content-Length: {len(body)}", *headers]
        return await ask(self.url, get("/v1/tasks", *head, method="POST") + body)

    async def submit(self, *task_ids: str, task_type: str | None = None) -> None:
        for task_id in task_ids:
            data = bare_task(task_id, "submitted", via="submit", received_at=AT)
            data["task_type"] = task_type
            await self.journal.append(submitted_draft(data))

    async def webhook(self, task_id: str, image: str = "a", status: str = "TASK_STATUS_SUCCEED") -> None:
        body = task(task_id, image=f"https://x/{image}", status=status)
        draft = NovitaTask().normalize(Delivery(body, AT))
        assert isinstance(draft, Draft)
        await self.journal.append(draft)

    async def ids(self, query: str = "") -> list[str]:
        answer = await self.get(query)
        assert answer.status == 200
        return [found["task_id"] for found in answer.json["tasks"]]


@asynccontextmanager
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as journal:
        entered: list[None] = []
        routes = TaskRoutes(journal, lambda: entered.append(None))
        served = {
            "GET /v1/tasks": routes.list,
            "POST /v1/tasks": routes.watch,
            "GET /v1/tasks/{id}": routes.show,
        }
        async with api(served) as url:
            yield Scene(url, journal, entered)


def types(shown: dict[str, Any]) -> list[tuple[int, str]]:
    return [(entry["offset"], entry["event"]["type"].removeprefix("relay.task.")) for entry in shown["events"]]


async def test_a_task_is_shown_with_all_that_happened_to_it(tmp_path: Path) -> None:
    """Somebody who asks about a task would have to read the whole journal."""
    async with scene(tmp_path) as s:
        await s.submit("t1", "t2", task_type="UPSCALE")
        await s.webhook("t1")
        await s.webhook("t2")
        await s.webhook("t1", image="b")
        shown = (await s.get("/t1")).json
        assert types(shown) == [(1, "submitted"), (3, "succeeded"), (5, "conflicted")]
        assert (shown["task_id"], shown["state"], shown["task_type"]) == ("t1", "succeeded", "UPSCALE")
        assert shown["next_poll_at"] is None
        assert shown["ended_at"] is not None
        assert shown["events"][1]["event"]["data"]["outputs"][0]["url"] == "https://x/a"
        assert shown["events"][1]["topic"] == "tasks"


async def test_a_task_under_way_says_when_it_is_asked_for(tmp_path: Path) -> None:
    """A task that waits for its webhook would look like one that was forgotten."""
    async with scene(tmp_path) as s:
        await s.submit("t1")
        shown = (await s.get("/t1")).json
        assert (shown["state"], shown["polls"], shown["ended_at"]) == ("submitted", 0, None)
        assert shown["next_poll_at"] > shown["submitted_at"]


async def test_a_task_known_only_from_a_webhook_is_found(tmp_path: Path) -> None:
    """Tasks that were not submitted through the relay could not be asked for."""
    async with scene(tmp_path) as s:
        await s.webhook("t1")
        shown = (await s.get("/t1")).json
        assert (shown["state"], shown["submitted_at"], types(shown)) == ("succeeded", None, [(1, "succeeded")])
        assert shown["polls"] == 0


async def test_an_ending_that_came_first_is_shown_before_it_is_entered(tmp_path: Path) -> None:
    """For a minute a task that has ended would be shown as waiting."""
    async with scene(tmp_path) as s:
        await s.webhook("t1")
        await s.submit("t1")
        shown = (await s.get("/t1")).json
        assert (shown["state"], shown["next_poll_at"]) == ("succeeded", None)
        assert shown["ended_at"] is not None
        assert types(shown) == [(1, "succeeded"), (2, "submitted")]


async def test_the_reason_of_an_abandoned_task_is_shown(tmp_path: Path) -> None:
    """A task that was given up would not say why."""
    async with scene(tmp_path) as s:
        await s.submit("t1")
        await s.journal.append(abandoned_draft("t1", None, "unknown_task", now=AT))
        shown = (await s.get("/t1")).json
        assert (shown["state"], shown["reason"]) == ("abandoned", "unknown_task")


@pytest.mark.parametrize("path", ["/nobody", "/" + "x" * 300, "/%00", "/a%2Fb"])
async def test_a_task_that_nobody_knows_is_not_found(tmp_path: Path, path: str) -> None:
    """An odd id would be an error of the relay's, or make a task appear."""
    async with scene(tmp_path) as s:
        answer = await s.get(path)
        assert (answer.status, answer.code) == (404, "not_found")


async def test_a_task_of_elsewhere_is_watched(tmp_path: Path) -> None:
    """A task that was submitted without the relay could not be followed."""
    async with scene(tmp_path) as s:
        first = await s.watch(b'{"task_id": "t1"}')
        assert first.status == 201
        assert (first.json["task_id"], first.json["state"], first.json["events"]) == ("t1", "submitted", [])
        assert len(s.entered) == 1
        again = await s.watch(b'{"task_id": "t1"}')
        assert (again.status, again.json) == (200, first.json)
        assert len(s.entered) == 1
        assert await s.journal.projection(Tasks).query(Tasks.next_due) is not None
        await s.webhook("t1")
        assert (await s.get("/t1")).json["state"] == "succeeded"


async def test_a_task_that_has_ended_is_not_watched(tmp_path: Path) -> None:
    """It would be polled until its deadline, and then be abandoned."""
    async with scene(tmp_path) as s:
        await s.webhook("t1")
        answer = await s.watch(b'{"task_id": "t1"}')
        assert (answer.status, answer.json["state"]) == (200, "succeeded")
        assert s.entered == []
        assert await s.journal.projection(Tasks).query(Tasks.next_due) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff", "not_json"),
        (b"[]", "bad_request"),
        (b"{}", "bad_request"),
        (b'"t1"', "bad_request"),
        (b'{"task_id": null}', "bad_request"),
        (b'{"task_id": 7}', "bad_request"),
        (b'{"task_id": ""}', "bad_request"),
        (b'{"task_id": "a b"}', "bad_request"),
        (b'{"task_id": "a/b"}', "bad_request"),
        ('{"task_id": "ä"}'.encode(), "bad_request"),
        (b'{"task_id": "%s"}' % (b"x" * 129), "bad_request"),
        (b'{"task_id": "t1", "webhook": "x"}', "bad_request"),
        (b'{"task_id": "t1"}' + b" " * 5000, "payload_too_large"),
    ],
)
async def test_what_is_no_task_is_refused_and_leaves_nothing(tmp_path: Path, body: bytes, code: str) -> None:
    """An id that the upstream never gave would be polled, or a slip of the caller's look like the relay's fault."""
    async with scene(tmp_path) as s:
        answer = await s.watch(body)
        assert answer.status in (400, 413)
        assert answer.code == code
        assert s.entered == []
        assert await s.ids() == []


async def test_the_routes_ask_for_a_token(tmp_path: Path) -> None:
    """Anyone who can reach the relay could read what its users make, and have it poll what they like."""
    async with opened(tmp_path) as journal:
        routes = TaskRoutes(journal, lambda: None)
        served = {"GET /v1/tasks": routes.list, "POST /v1/tasks": routes.watch, "GET /v1/tasks/{id}": routes.show}
        async with api(served, "s3cret-token-of-the-api-0123456789") as url:
            body = json.dumps({"task_id": "t1"}).encode()
            for request in (
                get("/v1/tasks"),
                get("/v1/tasks/t1"),
                get("/v1/tasks", f"Content-Length: {len(body)}", method="POST") + body,
            ):
                answer = await ask(url, request)
                assert (answer.status, answer.code) == (401, "unauthorized")
        assert await journal.projection(Tasks).query(Tasks.find, "t1") is None
