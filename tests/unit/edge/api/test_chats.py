"""``/v1/chats``: the chats that are open, and those that have ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay.core.chat.events import Opening, started_draft, terminal_draft
from relay.core.chat.recovery import restarted_draft
from relay.core.clock import rfc3339
from relay.edge.api.chats import ChatRoutes
from relay.journal.journal import Journal
from tests.services.raw_http import ask, get
from tests.unit.edge.serving import api, opened

AT = 1_700_000_000_000


async def ended(journal: Journal, chat_id: str, outcome: str = "completed", **more: Any) -> None:
    data = {
        "chat_id": chat_id,
        "completion_id": None,
        "outcome": outcome,
        "reason": None if outcome == "completed" else "upstream_error",
        "model": "m-1",
        "client": "web",
        "http_status": 200,
        "error": None,
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "other": [1]},
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
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal).list}) as url:
        beginnings = [started_draft(Opening(f"s{n}", AT, 0.0, "m-1", client="web")) for n in range(5)]
        for beginning in beginnings:
            await journal.append(beginning)
        await journal.append(restarted_draft(beginnings[1].event, [], AT))
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
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal).list}) as url:
        await ended(journal, "c1")
        await ended(journal, "c2", "failed", usage=None, model=None)
        await ended(journal, "c3", client="batch")

        async def listed(query: str) -> list[str]:
            return [chat["chat_id"] for chat in (await ask(url, get(f"/v1/chats?{query}"))).json["chats"]]

        assert await listed("") == ["c3", "c2", "c1"]
        assert await listed("state=completed&client=web") == ["c1"]
        assert await listed("state=failed") == ["c2"]
        assert await listed("state=ended&model=m-1") == ["c3", "c1"]
        assert await listed("state=open") == []
        assert await listed("until=1h") == []
        assert await listed("since=1h&limit=2") == ["c3", "c2"]
        page = (await ask(url, get("/v1/chats?limit=2"))).json
        assert await listed(f"before={page['next']}") == ["c1"]
        c3, c2 = page["chats"]
        assert c3["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        assert (c3["first_token_ms"], c3["duration_ms"], c3["ended_at"] is None) == (2, 30, False)
        assert (c2["usage"], c2["reason"]) == (None, "upstream_error")


@pytest.mark.parametrize("query", ["before=-1", "before=x", "limit=0", "limit=1001", "state=new", "since=soon"])
async def test_a_list_that_cannot_be_is_refused(tmp_path: Path, query: str) -> None:
    """A slip in a parameter would show all chats, or none."""
    async with opened(tmp_path) as journal, api({"GET /v1/chats": ChatRoutes(journal).list}) as url:
        answer = await ask(url, get(f"/v1/chats?{query}"))
        assert (answer.status, answer.code) == (400, "bad_request")
