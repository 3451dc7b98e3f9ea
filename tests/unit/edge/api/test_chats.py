"""``/v1/chats``: the chats that are open, and those that have ended."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from relay.apis import apis
from relay.clocks import wall_ms
from relay.core.chat.events import TOKENS, Opening, started_draft, terminal_draft
from relay.core.chat.recovery import closed_by_restart
from relay.core.clock import rfc3339
from relay.edge.api import digests
from relay.edge.api.chats import ChatRoutes
from relay.journal import queries
from relay.journal.journal import Journal
from tests.services.raw_http import ask, get
from tests.unit.edge.serving import api, opened

AT = 1_700_000_000_000
BEGAN = {"started_at": rfc3339(AT)}
UNKNOWN = dict.fromkeys(TOKENS)


async def ended(journal: Journal, chat_id: str, outcome: str = "completed", **more: Any) -> None:
    data = {
        "chat_id": chat_id,
        "api": "chat_completions",
        "completion_id": None,
        "outcome": outcome,
        "reason": None if outcome == "completed" else "upstream_error",
        "model": "m-1",
        "client": "web",
        "http_status": 200,
        "error": None,
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "other": [1]},
        "tokens": {"input": 3, "output": 4, "cached": None, "cache_written": None, "reasoning": None},
        "usage_source": "reported",
        "chunks": 0,
        "bytes": 9,
        "gaps": 0,
        "truncated": False,
        "request": None,
        "timings": {"started_at": rfc3339(AT), "first_byte_ms": 1, "first_token_ms": 2, "duration_ms": 30},
        **more,
    }
    await journal.append(terminal_draft(data, json.dumps(data).encode(), time=rfc3339(AT + 30)))  # type: ignore[arg-type]


async def test_chats_are_listed_with_who_asked_what(tmp_path: Path) -> None:
    """Nobody could see which chats a restart would break."""
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal, apis()).list}) as url:
        beginnings = [started_draft(Opening(f"s{n}", AT, 0.0, "m-1", client="web")) for n in range(5)]
        for beginning in beginnings:
            await journal.append(beginning)
        await journal.append(closed_by_restart(beginnings[1].event, [], AT, apis()).terminal)
        first = (await ask(url, get("/v1/chats?state=open&limit=2"))).json
        assert [chat["chat_id"] for chat in first["chats"]] == ["s4", "s3"]
        shown = first["chats"][0]
        assert (shown["model"], shown["client"], shown["offset"], shown["state"]) == ("m-1", "web", 5, "open")
        assert shown["started_at"] > "2026"
        rest = (await ask(url, get(f"/v1/chats?state=open&before={first['next']}"))).json
        assert [chat["chat_id"] for chat in rest["chats"]] == ["s2", "s0"]
        assert rest["next"] is None
        rest = (await ask(url, get(f"/v1/chats?before={first['next']}"))).json
        assert [(chat["chat_id"], chat["state"]) for chat in rest["chats"]][2:] == [("s1", "failed")]
        for query in ("state=failed", "before=1000"):  # what was asked for, and what is beyond the open ones
            assert [chat["chat_id"] for chat in (await ask(url, get(f"/v1/chats?{query}"))).json["chats"]] == ["s1"]


async def test_past_chats_are_listed_with_what_came_of_them(tmp_path: Path) -> None:
    """A chat would be gone from the list at the moment when one wants to know what it cost."""
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal, apis()).list}) as url:
        await ended(journal, "c1")
        await ended(journal, "c2", "failed", tokens=UNKNOWN, model=None)
        await ended(journal, "c3", client="batch")

        async def listed(query: str) -> list[str]:
            return [chat["chat_id"] for chat in (await ask(url, get(f"/v1/chats?{query}"))).json["chats"]]

        assert await listed("") == ["c3", "c2", "c1"]
        assert await listed("state=completed&client=web") == ["c1"]
        assert await listed("state=failed") == ["c2"]
        assert await listed("state=ended&model=m-1") == ["c3", "c1"]
        assert await listed("state=open") == []
        assert (await listed("api=messages"), len(await listed("api=chat_completions"))) == ([], 3)
        assert await listed("until=1h") == []
        assert await listed("since=1h&limit=2") == ["c3", "c2"]
        page = (await ask(url, get("/v1/chats?limit=2"))).json
        assert await listed(f"before={page['next']}") == ["c1"]
        c3, c2 = page["chats"]
        assert c3["tokens"] == {"input": 3, "output": 4, "total": 7}
        assert (c3["first_token_ms"], c3["duration_ms"], c3["ended_at"] is None) == (2, 30, False)
        assert (c2["tokens"], c2["reason"]) == (None, "upstream_error")


async def test_chats_are_sorted_by_what_they_cost(tmp_path: Path) -> None:
    """Which of thousands of chats took long, or many tokens, could not be seen."""

    def measured(duration_ms: int | None, first_token_ms: int | None, tokens: Any) -> dict[str, Any]:
        timings = BEGAN | {"first_byte_ms": 1, "first_token_ms": first_token_ms, "duration_ms": duration_ms}
        return {"timings": timings, "tokens": UNKNOWN | {"output": tokens}}

    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal, apis()).list}) as url:
        await journal.append(started_draft(Opening("hangs", AT, 0.0, "m-1")))
        await ended(journal, "c1", **measured(30, 9, 7))
        await ended(journal, "c2", "failed", **measured(None, None, None))
        await ended(journal, "c3", **measured(500, 3, 1000), client="batch")
        await ended(journal, "c4", **measured(30, 5, 0))

        async def listed(query: str) -> list[str]:
            return [chat["chat_id"] for chat in (await ask(url, get(f"/v1/chats?{query}"))).json["chats"]]

        assert await listed("sort=newest") == ["hangs", "c4", "c3", "c2", "c1"]
        assert await listed("sort=duration&state=ended") == ["c3", "c4", "c1", "c2"]
        assert await listed("sort=tokens") == ["c3", "c1", "c4", "c2", "hangs"]
        assert await listed("sort=first_token&client=web") == ["c1", "c4", "c2"]
        assert await listed("sort=duration&state=open") == ["hangs"]
        assert await listed("sort=duration&until=1h") == []
        for limit in (1, 2, 5):
            found: list[str] = []
            before: str | None = ""
            while before is not None:
                page = (await ask(url, get(f"/v1/chats?sort=tokens&limit={limit}&before={before}"))).json
                assert (len(page["chats"]) <= limit, page["searched_since"]) == (True, None)
                found += [chat["chat_id"] for chat in page["chats"]]
                before = page["next"]
            assert found == ["c3", "c1", "c4", "c2", "hangs"]


async def test_a_chat_that_lasts_is_the_longest_of_all(tmp_path: Path) -> None:
    """A chat that hangs would be at the end of the list that is sorted by duration."""
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal, apis()).list}) as url:
        await journal.append(started_draft(Opening("hangs", AT, 0.0, "m-1")))
        await ended(journal, "c1", timings=dict.fromkeys(("first_byte_ms", "first_token_ms", "duration_ms"), 0) | BEGAN)
        opened_at = wall_ms()
        while wall_ms() == opened_at:
            await asyncio.sleep(0)
        shown = (await ask(url, get("/v1/chats?sort=duration"))).json["chats"]
        assert [(chat["chat_id"], chat["duration_ms"]) for chat in shown] == [("hangs", None), ("c1", 0)]


async def test_a_rare_model_is_found_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page would be empty until the one chat with a model comes."""
    monkeypatch.setattr(queries, "SCAN", 5)
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal, apis()).list}) as url:
        await ended(journal, "c0", model="rare")
        for n in range(1, 12):
            await ended(journal, f"c{n}")
        page = (await ask(url, get("/v1/chats?model=rare&limit=5"))).json
        assert [chat["chat_id"] for chat in page["chats"]] == ["c0"]
        assert page["next"] is None
        monkeypatch.setattr(digests, "_LOOKS", 2)  # it ends somewhere, and leads on
        page = (await ask(url, get("/v1/chats?model=rare&limit=5"))).json
        assert (page["chats"], page["next"]) == ([], "3")
        page = (await ask(url, get("/v1/chats?sort=tokens&limit=1"))).json
        assert [chat["chat_id"] for chat in page["chats"]] == ["c11"]
        assert page["searched_since"] is not None
        assert (await ask(url, get("/v1/chats?sort=tokens&state=open"))).json["searched_since"] is None


async def test_what_an_upstream_wrote_leaves_a_list_small(tmp_path: Path) -> None:
    """One odd answer would break the list of all chats, or make it as large as the answers."""
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal, apis()).list}) as url:
        await ended(journal, "c1", model="x" * 100_000, tokens=UNKNOWN | {"input": 3}, usage={"x": "x" * 100_000})
        answer = await ask(url, get("/v1/chats?sort=tokens"))
        assert (answer.status, len(answer.body) < 1000) == (200, True)
        [chat] = answer.json["chats"]
        assert chat["tokens"] == {"input": 3, "output": None, "total": 3}
        assert chat["model"] == "x" * 256


async def test_a_wrong_word_says_which_are_right(tmp_path: Path) -> None:
    """A slip would have to be looked up in the documentation."""
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal, apis()).list}) as url:
        refused = (await ask(url, get("/v1/chats?sort=price"))).json
        assert refused["detail"] == "The parameter sort must be one of newest, duration, tokens, first_token."
        refused = (await ask(url, get("/v1/chats?since=1h&until=2h"))).json
        assert "since must not be later than until" in refused["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "sort=",
        "sort=tokens&before=7",
        "since=1h&until=2h",
        "before=-1",
        "before=x",
        "limit=0",
        "limit=1001",
        "state=new",
        "api=message",
        "since=soon",
    ],
)
async def test_a_list_that_cannot_be_is_refused(tmp_path: Path, query: str) -> None:
    """A slip in a parameter would show all chats, or none."""
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal, apis()).list}) as url:
        answer = await ask(url, get(f"/v1/chats?{query}"))
        assert (answer.status, answer.code) == (400, "bad_request")
