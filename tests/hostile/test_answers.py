"""The corpus of hostile answers, on every route that shows an answer of the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.hostile.answers import ANSWERS
from tests.hostile.stage import Stage, closes
from tests.services.raw_http import ask, get, post, wire

LONGEST = 4.0 + 2.0
"""Seconds: ``first_byte_timeout`` and ``idle_timeout`` of the upstream, as configured here."""

CLOSE = "Connection: close"
CHAT, TASK = "/openai/v1/chat/completions", "/v3/async/txt2img"
ROUTES: dict[str, Callable[[str], bytes]] = {
    "a chat": lambda name: post(CHAT, b'{"model":"m","stream":true}', f"X-Answer: {name}", CLOSE),
    "a submission": lambda name: post(TASK, b"{}", f"X-Answer: {name}", CLOSE),
    "a result": lambda name: get("/v3/async/task-result?task_id=t", f"X-Answer: {name}", CLOSE),
    "passed on": lambda name: post("/openai/v1/embeddings", b"{}", f"X-Answer: {name}", CLOSE),
}


async def seen(url: str, request: bytes) -> bytes:
    """What a client sees until the relay closes, as it was asked to."""
    async with wire(url) as connection:
        await connection.send(request)
        return await closes(connection, within=LONGEST)


@pytest.mark.parametrize("route", ROUTES)
async def test_no_answer_harms_more_than_its_own_request(stage: Stage, route: str) -> None:
    """An upstream that has gone wrong would take the relay along, or its next client's answer."""
    async with stage.case(mib=150, cpu=15, loop=250):
        shown = await asyncio.gather(*(seen(stage.url, ROUTES[route](name)) for name in ANSWERS))
        for _ in range(5):
            assert (await ask(stage.url, post("/openai/v1/own/answer", b"{}"))).body == b"/openai/v1/own/answer"
    for name, answer in zip(ANSWERS, shown, strict=True):
        assert answer.startswith(b"HTTP/1.1 "), (name, answer[:200])
        assert not answer.startswith(b"HTTP/1.1 500"), (name, answer[:2000])
        assert b"Traceback" not in answer, name
    assert "request failed" not in stage.relay.log.read_text()
