"""The list of all known tasks, newest first: its filters and its pages."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from relay.clocks import steady_ms, wall_ms
from relay.core.event import Draft
from relay.core.source import Delivery
from relay.edge.api import ranges
from relay.journal import queries
from relay.sources.novita_task import NovitaTask
from tests.unit.edge.api.test_tasks import scene


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
    monkeypatch.setattr(ranges, "_LOOKS", 2)
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
    monkeypatch.setattr(ranges, "_LOOKS", 1)
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


@pytest.mark.parametrize(
    "query",
    [
        "?state=new",
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
