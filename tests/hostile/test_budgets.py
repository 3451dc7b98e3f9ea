"""Room that clients share: nobody takes it from the others by what has not come."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.hostile.stage import Stage
from tests.services.raw_http import ask, post, wire

CHAT = "/openai/v1/chat/completions"
BEGUN = (
    f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n".encode()
)


async def test_small_bodies_without_a_length_keep_nobody_out(stage: Stage) -> None:
    """Four tiny chats reserved all there is until the upstream answered them, and everybody else got a 503."""
    async with stage.case(mib=40, cpu=2), AsyncExitStack() as stack:
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


async def test_uploads_that_stop_are_cut(stage: Stage) -> None:
    """One byte of a hundred stayed for ever, here and at the upstream."""
    async with stage.case(mib=20, cpu=3), AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(wire(stage.url)) for _ in range(100)]
        for connection in connections:
            await connection.send(post("/openai/v1/files", b"x" * 100)[:-99])
        for connection in connections:
            assert (await connection.answer()).status == 408
            assert await connection.rest() == b""
