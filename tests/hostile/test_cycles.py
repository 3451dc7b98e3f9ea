"""Requests that fail, in each way and on each route, leave nothing that waits for the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from relay.edge.chat.stream import ChatStream
from relay.edge.http.bodies import Received
from relay.edge.http.server import Connection
from relay.upstream.client import Incoming
from tests.services.in_process import running
from tests.services.raw_http import get, post, wire
from tests.services.scripted_upstream import Call, ok, scripted

CHAT, TASK, FILE = "/openai/v1/chat/completions", "/v3/async/txt2img", "/openai/v1/files"
KINDS = (Connection, web.BaseRequest, ChatStream, Incoming, Received)


async def script(call: Call) -> None:
    """Answers as the query says."""
    if "silent" in call.line:
        await call.until_gone()
    elif "cut" in call.line:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
        call.reset()
    elif "bad" in call.line:
        await call.send(b"nonsense\r\n\r\n")
    else:
        await call.send(ok())


def requests() -> list[bytes]:
    """Requests whose answers are bad, incomplete or missing, and incomplete requests."""
    found = [post(f"{path}?{how}", b"{}") for path in (CHAT, TASK, FILE) for how in ("fine", "bad", "cut")]
    found += [post(f"{path}?silent", b"{}") for path in (CHAT, FILE)]  # a submission's answer is waited for
    found += [post(path, b"x" * 100)[:-50] for path in (CHAT, TASK, FILE, "/v1/tasks")]
    found += [post(path).replace(b"Length: 0", b"Length: 999999999") for path in (CHAT, TASK, "/v1/tasks")]
    return [*found, get("/v1/events"), get("/v1/events", "Accept: text/event-stream"), get("/"), get("/nothing")]


async def visit(url: str, request: bytes) -> None:
    """Sends it, and leaves after the answer or a moment without one."""
    async with wire(url) as connection:
        await connection.send(request)
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(0.5):
                await connection.reader.read(65_536)


async def until(condition: Callable[[], bool]) -> None:
    """Polls for up to five seconds for what no event signals."""
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.05)


def kept() -> list[str]:
    """What is still in memory of requests."""
    return sorted(type(each).__name__ for each in gc.get_objects() if isinstance(each, KINDS))


async def test_no_failure_leaves_a_cycle(tmp_path: Path) -> None:
    """Requests and their bodies would stay until a full collection, which a busy relay seldom makes."""
    async with scripted(script) as upstream, running(tmp_path, upstream={"base_url": upstream.url}) as relay:
        assert relay._listeners is not None
        url = relay._listeners.main.url
        gc.collect()
        gc.disable()
        try:
            before = len(kept())
            await asyncio.gather(*(visit(url, request) for request in requests()))
            await until(lambda: len(kept()) <= before)
            assert kept()[before:] == []
        finally:
            gc.enable()
