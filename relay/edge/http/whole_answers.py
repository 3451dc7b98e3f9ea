"""Answers that are built in memory: written as their client reads them, within a limit for all of them together.

aiohttp waits without end for a client that does not read, and holds the answer meanwhile.
"""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from relay.edge.http import problems
from relay.edge.http.raw_response import RawResponse, date
from relay.edge.http.server import respond

SMALL: Final = 64 << 10
"""Bytes that a connection may hold in any case."""

MAX_WAITING: Final = 64 << 20
"""Bytes of all larger answers under way; a further one is refused."""


class WholeAnswers:
    """Writes them. ``send_timeout``: seconds for which a client may take nothing of one, before it is cut."""

    def __init__(self, send_timeout: float) -> None:
        self._send_timeout = send_timeout
        self._waiting = 0

    async def written(self, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        """The answer itself where aiohttp may write it, else what stands for it when it is out or given up."""
        body = answer.body if isinstance(answer, web.Response) else None
        if not isinstance(body, bytes) or len(body) <= SMALL:
            return answer
        if self._waiting + len(body) > MAX_WAITING:
            return respond(problems.answer("overloaded", "Too much data waits for clients that do not read."))
        self._waiting += len(body)
        try:
            return await self._write(RawResponse(request, self._send_timeout), answer, body)
        finally:
            self._waiting -= len(body)

    async def _write(self, outgoing: RawResponse, answer: web.StreamResponse, body: bytes) -> web.StreamResponse:
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        headers = [field for field in headers if field[0].lower() != hdrs.CONTENT_LENGTH.lower().encode()]
        headers += [(b"Content-Length", b"%d" % len(body)), date()]
        try:
            outgoing.begin(answer.status, (answer.reason or "").encode(), headers)
            for start in range(0, len(body), SMALL):
                if not await outgoing.write(body[start : start + SMALL]):
                    return outgoing.abort()
            return await outgoing.finish()
        except ConnectionError:
            return outgoing.abort()
