"""``/v1/chats``: the chats that are open."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.core.chat.events import Opening, started_draft
from relay.core.chat.recovery import restarted_draft
from relay.edge.api.chats import ChatRoutes
from relay.journal.projections.chats import Chats
from tests.services.raw_http import ask, get
from tests.unit.edge.serving import api, opened

AT = 1_700_000_000_000


async def test_open_chats_are_listed_with_who_asked_what(tmp_path: Path) -> None:
    """Nobody could see which chats a restart would break."""
    async with (
        opened(tmp_path) as journal,
        api({"GET /v1/chats": ChatRoutes(journal.projection(Chats)).list}) as url,
    ):
        beginnings = [started_draft(Opening(f"s{n}", AT, 0.0, "m-1", client="web")) for n in range(5)]
        for beginning in beginnings:
            await journal.append(beginning)
        await journal.append(restarted_draft(beginnings[1].event, [], AT))
        assert len((await ask(url, get("/v1/chats?limit=1"))).json["chats"]) == 1
        first = (await ask(url, get("/v1/chats?limit=2"))).json
        assert [chat["chat_id"] for chat in first["chats"]] == ["s0", "s2"]
        shown = first["chats"][0]
        assert (shown["model"], shown["client"], shown["offset"]) == ("m-1", "web", 1)
        assert shown["opened_at"] > "2026"
        rest = (await ask(url, get(f"/v1/chats?after={first['next']}"))).json
        assert [chat["chat_id"] for chat in rest["chats"]] == ["s3", "s4"]
        assert rest["next"] is None


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=1001"])
async def test_a_list_that_cannot_be_is_refused(tmp_path: Path, query: str) -> None:
    """A slip in a parameter would show all chats, or none."""
    async with (
        opened(tmp_path) as journal,
        api({"GET /v1/chats": ChatRoutes(journal.projection(Chats)).list}) as url,
    ):
        answer = await ask(url, get(f"/v1/chats?{query}"))
        assert (answer.status, answer.code) == (400, "bad_request")
