"""Room that clients share: nobody takes it from the others by what has not come."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.hostile.stage import WEBHOOK, Stage, closes
from tests.services.raw_http import ask, post, wire

CHAT = "/openai/v1/chat/completions"
BEGUN = (
    f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n".encode()
)


async def test_small_bodies_without_a_length_keep_nobody_out(stage: Stage) -> None:
    """Four tiny chats reserved all there is until the upstream answered them, and everybody else got a 503."""
    async with stage.case(mib=40, cpu=2, loop=250), AsyncExitStack() as stack:
        stage.upstream.silent = True
        stack.callback(setattr, stage.upstream, "silent", False)
        before = stage.upstream.requests
        for _ in range(8):
            connection = await stack.enter_async_context(wire(stage.url))
            await connection.send(BEGUN)
            assert await connection.line() == b"HTTP/1.1 100 Continue\r\n"
            await connection.line()
            await connection.send(b'd\r\n{"model":"m"}\r\n0\r\n\r\n')
        async with asyncio.timeout(5):
            while stage.upstream.requests < before + 8:
                await asyncio.sleep(0.01)
        stage.upstream.silent = False
        assert (await ask(stage.url, post(CHAT, b'{"messages":"%b"}' % (b"x" * (4 << 20))))).status == 200


@pytest.mark.parametrize(
    ("path", "seconds"), [("/openai/v1/files", 2.0), (CHAT, 2.0), ("/v3/async/txt2img", 2.0), (WEBHOOK, 1.0)]
)
async def test_uploads_that_stop_are_cut(stage: Stage, path: str, seconds: float) -> None:
    """One byte of a hundred stayed forever, here and at the upstream."""
    async with stage.case(mib=20, cpu=3, loop=250), AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(wire(stage.url)) for _ in range(100)]
        for connection in connections:
            await connection.send(post(path, b"x" * 100)[:-99])
        for answer in await asyncio.gather(*(closes(connection, seconds + 1.0) for connection in connections)):
            assert answer.startswith(b"HTTP/1.1 408 ")


async def test_an_upstream_that_says_nothing_is_given_up(stage: Stage) -> None:
    """Chats that nobody answers would be held for as long as the upstream likes."""
    async with stage.case(mib=20, cpu=3, loop=250), AsyncExitStack() as stack:
        stage.upstream.silent = True
        stack.callback(setattr, stage.upstream, "silent", False)
        connections = [await stack.enter_async_context(wire(stage.url)) for _ in range(50)]
        for connection in connections:
            await connection.send(post(CHAT, b'{"model":"m"}', "Connection: close"))
        for answer in await asyncio.gather(*(closes(connection, 4.0) for connection in connections)):
            assert answer.startswith(b"HTTP/1.1 504 ")
