"""The list of all known tasks, newest first: its filters and its pages."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from relay.clocks import steady_ms, wall_ms
from relay.core.event import Draft
from relay.core.source import Delivery
from relay.edge.api import digests
from relay.journal import queries
from relay.journal.projections.tasks import Tasks
from relay.sources.novita_task import NovitaTask
from tests.unit.edge.api.test_tasks import AT, Scene, scene
from tests.unit.edge.serving import task


async def test_a_list_goes_by_state_type_and_time(tmp_path: Path) -> None:
    """An operator could not find what hangs."""
    async with scene(tmp_path) as s:
        await s.submit("t1", "t2", task_type="UPSCALE")
        await s.submit("t3")
        await s.webhook("t1")
        assert await s.ids() == ["t3", "t2", "t1"]
        assert await s.ids("?state=pending") == ["t3", "t2"]
        assert await s.ids("?state=ended") == ["t1"]
        assert await s.ids("?state=succeeded") == ["t1"]
        assert await s.ids("?type=UPSCALE&state=pending") == ["t2"]
        assert await s.ids("?until=1h") == []
        assert await s.ids("?since=1h&until=0") == ["t3", "t2", "t1"]
        assert await s.ids("?since=2999-01-01T00:00:00Z") == []
        counts = (await s.get()).json["counts"]
        assert counts == {"submitted": 2, "running": 0, "succeeded": 1, "failed": 0, "abandoned": 0}


async def test_tasks_that_were_only_reported_are_listed_too(tmp_path: Path) -> None:
    """After 5,000 webhooks the list would be empty, as if relay knew of no task."""
    async with scene(tmp_path) as s:
        await s.submit("t1")
        await s.webhook("w1")
        await s.watch(b'{"task_id": "t2"}')
        await s.webhook("t1")
        await s.webhook("t2")
        await s.webhook("w2", status="TASK_STATUS_FAILED")
        shown = {task["task_id"]: task for task in (await s.get()).json["tasks"]}
        assert {task_id: task["known_via"] for task_id, task in shown.items()} == {
            "w2": "webhook",
            "t2": "watch",
            "w1": "webhook",
            "t1": "submit",
        }
        assert (shown["w1"]["submitted_at"], shown["w1"]["state"]) == (None, "succeeded")
        assert shown["w1"]["ended_at"] is not None
        assert await s.ids("?state=failed") == ["w2"]
        assert await s.ids("?state=pending") == []
        assert await s.ids("?until=1h") == []


async def test_pages_hold_each_task_once_wherever_it_comes_from(tmp_path: Path) -> None:
    """Of two sources of one list, one would repeat tasks where a page ends, or leave some out."""
    async with scene(tmp_path) as s:
        wanted = []
        for n in range(40):
            if n % 3:
                await s.webhook(f"w{n}")
                wanted.append(f"w{n}")
            else:
                await s.submit(f"t{n}")
                wanted.append(f"t{n}")
            if n % 4 == 0:
                await s.webhook(f"t{n - n % 3}")
                wanted += [f"t{n - n % 3}"] if f"t{n - n % 3}" not in wanted else []
        for limit in (1, 2, 7, 1000):
            found: list[str] = []
            before: str | None = ""
            while before is not None:
                page = (await s.get(f"?limit={limit}&before={before}")).json
                assert len(page["tasks"]) <= limit
                found += [shown["task_id"] for shown in page["tasks"]]
                before = page["next"]
            assert sorted(found) == sorted(wanted)


async def test_a_task_that_is_rare_is_found_behind_many_other_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list would end where relay has looked far enough for one page."""
    monkeypatch.setattr(queries, "SCAN", 3)
    monkeypatch.setattr(digests, "_LOOKS", 2)
    async with scene(tmp_path) as s:
        await s.webhook("w1")
        await s.submit(*(f"t{n}" for n in range(20)))
        found: list[str] = []
        before: str | None = ""
        pages = 0
        while before is not None:
            page = (await s.get(f"?state=ended&before={before}")).json
            found += [shown["task_id"] for shown in page["tasks"]]
            before = page["next"]
            pages += 1
        assert (found, pages) == (["w1"], 4)


async def test_no_page_runs_ahead_of_what_has_been_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two sources of one list, the quick one would show its oldest tasks before the newer ones of the other."""
    monkeypatch.setattr(queries, "SCAN", 3)
    monkeypatch.setattr(digests, "_LOOKS", 1)
    async with scene(tmp_path) as s:
        for name in ("old", "heard", *(f"t{n}" for n in range(8))):
            await (s.webhook if name == "heard" else s.submit)(name)
            now = wall_ms(), steady_ms()
            while now[0] == wall_ms() or now[1] == steady_ms():
                await asyncio.sleep(0)
        found: list[str] = []
        before: str | None = ""
        while before is not None:
            page = (await s.get(f"?before={before}")).json
            found += [shown["task_id"] for shown in page["tasks"]]
            before = page["next"]
        assert found == [*(f"t{n}" for n in reversed(range(8))), "heard", "old"]


async def test_a_list_of_overdue_tasks_holds_those_whose_poll_is_late(tmp_path: Path) -> None:
    """Nobody could see for which tasks polling does not keep up."""
    async with scene(tmp_path) as s:
        await s.submit("t1", "t2")
        await s.watch(b'{"task_id": "t3"}')  # due at once
        await s.watch(b'{"task_id": "t4"}')
        await s.webhook("t4")
        assert await s.ids("?state=overdue") == ["t3"]
        assert await s.ids("?state=overdue&type=UPSCALE") == []


async def timed(s: Scene, task_id: str, milliseconds: int | None) -> None:
    """A webhook with the upstream's own times."""
    body = json.loads(task(task_id, status="TASK_STATUS_SUCCEED"))
    if milliseconds is not None:
        body["extra"] = {"debug_info": {"submit_time_ms": AT, "complete_time_ms": AT + milliseconds}}
    draft = NovitaTask().normalize(Delivery(json.dumps(body).encode(), AT))
    assert isinstance(draft, Draft)
    await s.journal.append(draft)


async def test_a_task_says_how_long_it_took(tmp_path: Path) -> None:
    """Two times would have to be subtracted by hand, for each task."""
    async with scene(tmp_path) as s:
        await s.submit("t1", "t2")
        await s.webhook("t1")
        await timed(s, "w1", 4200)
        await timed(s, "w2", None)
        took = {shown["task_id"]: shown["duration_ms"] for shown in (await s.get()).json["tasks"]}
        assert (took["w1"], took["w2"], took["t2"]) == (4200, None, None)
        assert 0 <= took["t1"] < 60_000
        assert (await s.get("/t1")).json["duration_ms"] == took["t1"]
        assert (await s.get("/w1")).json["duration_ms"] == 4200


async def test_tasks_are_sorted_by_how_long_they_took(tmp_path: Path) -> None:
    """Which of thousands of tasks hang, or were slow, could not be seen."""
    async with scene(tmp_path) as s:
        await s.submit("t1", "t2", "t3", task_type="UPSCALE")
        now = steady_ms()
        await s.journal.projection(Tasks).execute(
            lambda tasks: tasks._db.execute(
                "UPDATE tasks SET submitted_at = ? - iif(task_id = 't1', 9e6, iif(task_id = 't2', 7e6, 8e6))", (now,)
            )
        )
        await s.webhook("t2")  # after two hours; the others go on, so what is between them is minutes away
        for name, milliseconds in (("w1", 8_500_000), ("w2", None), ("w3", 100), ("w4", 10**8), ("w5", 10**8)):
            await timed(s, name, milliseconds)
        longest = ["w5", "w4", "t1", "w1", "t3", "t2", "w3", "w2"]
        assert await s.ids("?sort=duration") == longest
        assert await s.ids("?sort=duration&type=UPSCALE") == ["t1", "t3", "t2"]
        assert await s.ids("?sort=duration&state=ended&limit=3") == ["w5", "w4", "w1"]
        assert await s.ids("?sort=duration&state=submitted") == ["t1", "t3"]
        for limit in (1, 3):
            found: list[str] = []
            before: str | None = ""
            while before is not None:
                page = (await s.get(f"?sort=duration&limit={limit}&before={before}")).json
                assert (len(page["tasks"]) <= limit, page["searched_since"]) == (True, None)
                found += [shown["task_id"] for shown in page["tasks"]]
                before = page["next"]
            assert found == longest


async def test_a_sorted_list_says_how_far_back_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large journal the longest task would be taken for the longest of all, or be looked for without end."""
    async with scene(tmp_path) as s:
        await s.submit("t1", "t2", "t3")
        for n in range(9):
            await timed(s, f"w{n}", 9 - n)
        assert (await s.get("?sort=duration")).json["searched_since"] is None
        monkeypatch.setattr(queries, "SCAN", 2)
        monkeypatch.setattr(digests, "_LOOKS", 2)
        page = (await s.get("?sort=duration&state=succeeded")).json
        assert [shown["task_id"] for shown in page["tasks"]] == ["w5", "w6", "w7", "w8"]
        assert page["searched_since"] == page["tasks"][0]["ended_at"]
        assert (await s.get("?sort=duration&state=succeeded&since=1h")).json["searched_since"] is not None


async def test_what_is_registered_keeps_no_page_looking_through_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all tasks come through relay, each page would look for others in half a million events."""
    async with scene(tmp_path) as s:
        for n in range(30):
            await s.submit(f"t{n}")
            await s.webhook(f"t{n}")
            now = wall_ms(), steady_ms()
            while now[0] == wall_ms() or now[1] == steady_ms():
                await asyncio.sleep(0)
        looked: list[int] = []
        real = s.journal.events.digests

        async def counted(*asked: Any) -> queries.Digests:
            page = await real(*asked)
            looked.append(len(page.found))
            return page

        monkeypatch.setattr(s.journal.events, "digests", counted)
        assert await s.ids("?limit=5") == [f"t{n}" for n in range(29, 24, -1)]
        assert sum(looked) <= 10


@pytest.mark.parametrize(
    "query",
    [
        "?state=new",
        "?sort=tokens",
        "?since=1h&until=2h",
        "?sort=duration&before=7-7",
        "?limit=0",
        "?limit=1001",
        "?before=-1",
        "?before=7",
        "?since=5",
        "?until=soon",
    ],
)
async def test_a_list_that_cannot_be_is_refused(tmp_path: Path, query: str) -> None:
    """A slip in a parameter would show all tasks, or none."""
    async with scene(tmp_path) as s:
        answer = await s.get(query)
        assert (answer.status, answer.code) == (400, "bad_request")


async def test_a_task_that_failed_elsewhere_says_why(tmp_path: Path) -> None:
    """The list would say that it failed, and not why; or something else than the page of the one task."""
    async with scene(tmp_path) as s:
        body = b'{"task":{"task_id":"w1","task_type":"UPSCALE","status":"TASK_STATUS_FAILED","reason":"no more"}}'
        draft = NovitaTask().normalize(Delivery(body, wall_ms(), via="poll"))
        assert isinstance(draft, Draft)
        await s.journal.append(draft)
        [shown] = (await s.get()).json["tasks"]
        found = {name: shown[name] for name in ("task_id", "task_type", "state", "reason", "known_via")}
        assert list(found.values()) == ["w1", "UPSCALE", "failed", "no more", "poll"]
        assert shown == {name: value for name, value in (await s.get("/w1")).json.items() if name != "events"}
