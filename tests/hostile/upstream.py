"""An upstream that answers with whatever bytes a case has put there."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.services.scripted_upstream import Call, ScriptedUpstream, ok

CHAT = ok(b'{"id":"c","object":"chat.completion","choices":[]}', "Content-Type: application/json")


class Echoing:
    """Answers each request with ``answer``; ``close``: and closes the connection; ``silent``: with nothing.

    ``requests``: as many as came.
    """

    def __init__(self) -> None:
        self.answer = CHAT
        self.close = False
        self.silent = False
        self.url = ""
        self.requests = 0
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
        self.requests += 1
        self._scripted.calls.clear()
        if self.silent:
            await call.until_gone()
        with suppress(ConnectionError):
            await call.send(self.answer)
            if self.close:
                call.writer.close()
