"""The corpus of hostile requests, on every route."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.hostile.requests import REQUESTS
from tests.hostile.stage import WEBHOOK, Stage, closes
from tests.services.raw_http import get, post, wire

LAST = 2.0 + 1.0
"""Seconds: an answer behind which nothing more comes, as configured here, and time to read it where it is a refusal."""

ADMIN_LAST = 10.0 + 75.0
"""Seconds, as they always are there."""

CHAT = "/openai/v1/chat/completions"
ROUTES = {
    "a chat": (CHAT, 2.0),
    "a submission": ("/v3/async/txt2img", 2.0),
    "passed on": ("/openai/v1/embeddings", 2.0),
    "a delivery": (WEBHOOK, 1.0),
    "the API": ("/v1/tasks", 10.0),
    "nothing": ("/", 1.0),
}
"""Paths, and the seconds for which a body may not come."""


async def answers(url: str, data: bytes, within: float) -> bytes:
    """All that comes back until the relay closes."""
    async with wire(url) as connection:
        with suppress(ConnectionError):
            await connection.send(data)
        return await closes(connection, within)


@pytest.mark.parametrize("route", ROUTES)
async def test_no_request_is_served_that_was_not_made(stage: Stage, route: str) -> None:
    """A request could be hidden in another, or end the process, or show where the relay fails."""
    stage.upstream.targets.clear()
    path, body_timeout = ROUTES[route]
    async with stage.case(mib=25, cpu=6, loop=250):
        asked = [raw.replace(b"@", path.encode()) for raw in REQUESTS.values()]
        replies = await asyncio.gather(*(answers(stage.url, data, body_timeout + LAST) for data in asked))
    for name, reply in zip(REQUESTS, replies, strict=True):
        for head in [part for part in reply.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]:
            assert 200 <= int(head[:3]) < 600, name
            assert int(head[:3]) != 500, (name, reply)
        assert b"Traceback" not in reply, name
    assert not [target for target in stage.upstream.targets if "smuggled" in target]
    assert "request failed" not in stage.relay.log.read_text()


async def test_the_admin_listener_takes_them_as_well(stage: Stage) -> None:
    """A stranger on the same machine could stop the probes, and so have the process killed."""
    async with stage.case(mib=25, cpu=6, loop=250):
        asked = [raw.replace(b"@", b"/livez") for raw in REQUESTS.values()]
        visits = [asyncio.create_task(answers(stage.relay.admin_url, data, ADMIN_LAST)) for data in asked]
        _, idle = await asyncio.wait(visits, timeout=3)
        for visit in idle:
            visit.cancel()  # nobody waits here until they are closed
        ended = await asyncio.gather(*visits, return_exceptions=True)
        assert not [end for end in ended if isinstance(end, Exception)]
        async with wire(stage.relay.admin_url) as connection:
            await connection.send(get("/livez"))
            assert (await connection.answer("GET")).status == 200


async def test_each_request_gets_its_own_answer(stage: Stage) -> None:
    """An answer would go to another client than the one that asked."""

    async def exchange(number: int) -> None:
        async with wire(stage.url) as connection:
            for turn in range(20):
                target = f"/openai/v1/own/{number}/{turn}"
                await connection.send(post(target, b"x" * number))
                assert (await connection.answer()).body.decode() == target
                await connection.send(post("/webhooks/novita/wrong", b"x" * turn))
                assert (await connection.answer()).code == "unauthorized"

    async with stage.case(mib=20, cpu=10, loop=250):
        await asyncio.gather(*(exchange(number) for number in range(40)))
