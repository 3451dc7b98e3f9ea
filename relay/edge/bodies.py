"""Receiving the bodies of requests: within a limit each, a budget together, and a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import HttpVersion11, hdrs, web

from relay.edge import problems

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Refusal(Exception):
    """Ends a request with this answer."""

    def __init__(self, code: str, detail: str = "", allow: Sequence[str] = ()) -> None:
        super().__init__(code)
        self.code, self.detail, self.allow = code, detail, allow
        self.answer = problems.answer(code, detail, allow=allow)


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """``max_body`` and ``max_inflight`` (all bodies held together) in bytes, ``timeout`` (for one body) in seconds.

    ``section`` is the part of the configuration that they stand in, for the texts of refusals.
    """

    max_body: int
    max_inflight: int
    timeout: float
    section: str = "server"


class Bodies:
    """Receives whole bodies. What comes together with the request's head is small, and does not count."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self.inflight = 0
        """Bytes that are reserved for bodies under way."""

    @asynccontextmanager
    async def received(self, request: web.BaseRequest) -> AsyncIterator[bytes | bytearray]:
        """The body, which counts against the budget until the block ends. Raises ``Refusal``."""
        expected = request.content_length
        if expected is not None and expected > self._limits.max_body:
            raise self._too_large()
        if request.content.is_eof():
            body = request.content.read_nowait(-1)  # all of it came with the head: nothing to wait for
            if len(body) > self._limits.max_body:
                raise self._too_large()
            yield body
            return
        reserved = self._limits.max_body if expected is None else expected
        if self.inflight + reserved > self._limits.max_inflight:
            raise Refusal("overloaded", "Too many bodies are being received at once.")
        self.inflight += reserved
        try:
            yield await self._in_time(request)
        finally:
            self.inflight -= reserved

    async def _in_time(self, request: web.BaseRequest) -> bytearray:
        invite(request)
        try:
            async with asyncio.timeout(self._limits.timeout):
                return await self._read(request)
        except TimeoutError:
            raise Refusal("body_timeout") from None
        except web.RequestPayloadError:
            raise Refusal("bad_request", "The body is not framed as RFC 9112 has it.") from None

    async def _read(self, request: web.BaseRequest) -> bytearray:
        body = bytearray()
        while chunk := await request.content.readany():
            body += chunk
            if len(body) > self._limits.max_body:
                raise self._too_large()
        return body

    def _too_large(self) -> Refusal:
        limit = f"{self._limits.max_body} bytes ({self._limits.section}.max_body)"
        return Refusal("payload_too_large", f"At most {limit} are taken.")


def invite(request: web.BaseRequest) -> None:
    """Tells a sender that waits for it to go on with the body (RFC 9110, 10.1.1); curl does above 1 MiB."""
    expected = request.headers.get(hdrs.EXPECT, "")
    if expected.lower() == "100-continue" and request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(_CONTINUE)  # not through the writer, for which the answer would have begun
