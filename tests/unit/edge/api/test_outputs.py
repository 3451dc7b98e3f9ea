"""``/v1/outputs``, and the outputs on the timeline of their task."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relay.clocks import steady_ms, wall_ms
from relay.core.archive.events import Copy, archived_draft, lost_draft
from relay.core.archive.job import Job
from relay.core.event import Draft
from relay.core.source import Delivery
from relay.edge.api.outputs import OutputRoutes
from relay.edge.api.subjects import SubjectRoutes
from relay.journal.journal import Journal
from relay.journal.projections.outputs import Outputs
from relay.sources.novita_task import NovitaTask
from tests.services.raw_http import Answer, ask, get
from tests.unit.archive.archiving import link, result
from tests.unit.edge.serving import api, opened

COPY = Copy("k", "s3://outputs/k", 5, "0" * 64, "image/png")


@dataclass
class Scene:
    """The routes being served, and the journal behind them."""

    url: str
    journal: Journal
    woken: list[str] = field(default_factory=list)

    async def call(self, path: str = "", method: str = "GET") -> Answer:
        return await ask(self.url, get(f"/v1/outputs{path}", method=method))

    async def listed(self, query: str = "") -> list[tuple[str, int]]:
        page = (await self.call(query)).json
        return [(each["task_id"], each["index"]) for each in page["outputs"]]

    async def succeed(self, task_id: str, *links: str) -> list[Job]:
        draft = NovitaTask().normalize(Delivery(result(task_id, *links), wall_ms()))
        assert isinstance(draft, Draft)
        await self.journal.append(draft)
        due = await self.journal.projection(Outputs).query(Outputs.due, steady_ms() + 1000, 100)
        return sorted((job for job in due if job.task_id == task_id), key=lambda job: job.index)


@asynccontextmanager
async def scene(tmp_path: Path, *, archiving: bool = True) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as journal:
        journal.projection(Outputs).table.archiving = True
        woken: list[str] = []
        wake: Callable[[], None] = lambda: woken.append("woken")  # noqa: E731
        outputs = OutputRoutes(journal, wake if archiving else None)
        routes = {
            "GET /v1/outputs": outputs.list,
            "POST /v1/outputs/{task_id}/{index}/retry": outputs.retry,
            "GET /v1/subjects/{subject}": SubjectRoutes(journal).show,
        }
        async with api(routes) as url:
            yield Scene(url, journal, woken)


async def test_a_page_leads_to_the_next_and_shows_no_signature(tmp_path: Path) -> None:
    """Outputs could not be reached, or anybody with a token could read what only the archiver may."""
    async with scene(tmp_path) as s:
        for n in range(3):
            await s.succeed(f"t{n}")
        first = (await s.call("?limit=2")).json
        second = (await s.call(f"?limit=2&before={first['next']}")).json
        assert [each["task_id"] for each in (*first["outputs"], *second["outputs"])] == ["t2", "t1", "t0"]
        assert (second["next"], second["waiting"]) == (None, 3)
        shown: dict[str, Any] = first["outputs"][0]
        assert (shown["state"], shown["attempts"], shown["source_url"]) == ("waiting", 0, "https://out.example/t2.png")
        assert shown["deadline"] > shown["accepted_at"]
        assert b"signature" not in (await s.call()).body


async def test_a_list_holds_what_was_asked_for(tmp_path: Path) -> None:
    """Those that are lost would have to be looked for among all."""
    async with scene(tmp_path) as s:
        a, b, _ = await s.succeed("t", link("a"), link("b"), link("c"))
        await s.journal.append(archived_draft(a, COPY, now=wall_ms()))
        await s.journal.append(lost_draft(b, "too_large", now=wall_ms()))
        assert await s.listed("?state=archived") == [("t", 0)]
        assert await s.listed("?state=lost") == [("t", 1)]
        assert await s.listed("?state=waiting") == [("t", 2)]
        assert await s.listed("?kind=video") == []
        assert len(await s.listed("?kind=image&since=1h")) == 3
        assert await s.listed("?until=1h") == []
        [archived] = (await s.call("?state=archived")).json["outputs"]
        assert {name: archived[name] for name in COPY._fields} == COPY._asdict()
        assert (archived["deadline"], archived["next_try_at"]) == (None, None)


@pytest.mark.parametrize("query", ["?state=gone", "?kind=text", "?before=x", "?limit=0", "?since=1"])
async def test_what_cannot_be_meant_is_refused(tmp_path: Path, query: str) -> None:
    """A typing error would be answered with something else than what was asked for."""
    async with scene(tmp_path) as s:
        assert (await s.call(query)).status == 400


async def test_a_lost_output_is_tried_again(tmp_path: Path) -> None:
    """An operator who has made room could not have the output, or it would wait for the next look."""
    async with scene(tmp_path) as s:
        [job] = await s.succeed("t")
        await s.journal.append(lost_draft(job, "too_large", now=wall_ms()))
        for _ in range(2):
            answer = await s.call("/t/0/retry", "POST")
            assert (answer.status, answer.json["state"]) == (200, "waiting")
        assert s.woken == ["woken", "woken"]


async def test_what_cannot_be_tried_again_is_refused_with_the_reason(tmp_path: Path) -> None:
    """A stored output would be fetched again, or somebody wait for a try that never comes."""
    async with scene(tmp_path) as s:
        [job] = await s.succeed("t")
        await s.journal.append(archived_draft(job, COPY, now=wall_ms()))
        answer = await s.call("/t/0/retry", "POST")
        assert (answer.status, answer.json["code"]) == (409, "not_retriable")
        for path, status in (("/t/1/retry", 404), ("/u/0/retry", 404), ("/t/x/retry", 400), ("/t/9999999/retry", 400)):
            assert (await s.call(path, "POST")).status == status
        assert s.woken == []
    async with scene(tmp_path / "off", archiving=False) as s:
        await s.succeed("t")
        answer = await s.call("/t/0/retry", "POST")
        assert (answer.status, answer.json["code"]) == (409, "not_retriable")


async def test_a_timeline_has_what_became_of_the_outputs(tmp_path: Path) -> None:
    """People who look at a task would not see that its outputs are stored, or lost."""
    async with scene(tmp_path) as s:
        a, b = await s.succeed("t", link("a"), link("b"))
        await s.journal.append(archived_draft(a, COPY, now=wall_ms()))
        await s.journal.append(lost_draft(b, "too_large", now=wall_ms()))
        timeline = (await ask(s.url, get("/v1/subjects/t"))).json
        assert [each["event"]["type"] for each in timeline["events"]] == [
            *("relay.task.succeeded", "relay.output.archived", "relay.output.lost"),
        ]
        assert [(each["index"], each["state"]) for each in timeline["outputs"]] == [(0, "archived"), (1, "lost")]
