"""An upstream that answers with whatever bytes a case asks it for."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.hostile.answers import ANSWERS
from tests.services.scripted_upstream import Call, ScriptedUpstream, ok

CHAT = ok(b'{"id":"c","object":"chat.completion","choices":[]}', "Content-Type: application/json")


class Upstream:
    """Answers as an upstream does, with its own target below ``/openai/v1/own/``, or with what ``X-Answer`` names.

    ``silent``: with nothing. ``requests``: as many as came. ``targets``: what they asked for.
    """

    def __init__(self) -> None:
        self.silent = False
        self.url = ""
        self.requests = 0
        self.targets: set[str] = set()
        self._scripted = ScriptedUpstream(self._serve)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens."""
        self._server = await asyncio.start_server(self._scripted.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Ends every connection."""
        assert self._server is not None
        self._server.close()
        await self._scripted.end()

    async def _serve(self, call: Call) -> None:
        target, name = call.line.split(" ")[1], call.header("x-answer")
        self.requests += 1
        self.targets.add(target)
        self._scripted.calls.clear()
        if self.silent:
            await call.until_gone()
        with suppress(ConnectionError):
            if name is not None:
                await call.send(ANSWERS[name])
                call.writer.close()
            else:
                await call.send(ok(target.encode()) if target.startswith("/openai/v1/own/") else CHAT)
