"""A receiver of webhooks that records what it gets and gives scripted answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer


class Receiver:
    """Answers with ``statuses`` in turn, the last of them forever; 0 keeps the sender waiting."""

    def __init__(self, statuses: Sequence[int]) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[dict[str, Any]] = []
        self.most_at_once = 0
        self.url = ""
        self._open = 0
        self._statuses = list(statuses)
        self._hold = asyncio.Event()
        self._arrival = asyncio.Event()

    async def receive(self, request: web.Request) -> web.Response:
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            return await self._receive(request)
        finally:
            self._open -= 1

    async def _receive(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(orjson.loads(await request.read()))
        self._arrival.set()
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if status == 0:
            await self._hold.wait()
        return web.Response(status=status or 200, headers={"Location": "/elsewhere"} if status == 302 else {})

    async def received(self, count: int) -> None:
        """Waits until so many requests have arrived."""
        async with asyncio.timeout(10):
            while len(self.bodies) < count:
                self._arrival.clear()
                await self._arrival.wait()

    def release(self) -> None:
        self._hold.set()


@asynccontextmanager
async def receiving(*statuses: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(statuses or (200,))
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.receive)
    server = TestServer(app)
    await server.start_server()
    receiver.url = str(server.make_url("/hook/t0k3n"))
    try:
        yield receiver
    finally:
        receiver.release()
        await server.close()
