"""Requests to the upstream, one ``exchange`` each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from relay.upstream.errors import UpstreamReset, UpstreamTimeout, UpstreamUnreachable
from relay.upstream.headers import RawHeaders

Body = bytes | AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``first_byte`` runs from the request's end to the answer's head, ``idle`` between two of its pieces."""

    connect: float = 5.0
    first_byte: float = 600.0
    idle: float = 300.0


class Answer:
    """The upstream's answer: its head is here, its body comes in pieces."""

    def __init__(self, response: aiohttp.ClientResponse, timeouts: Timeouts) -> None:
        self._response = response
        self._timeouts = timeouts
        self.status = response.status
        self.reason = response.reason or ""
        self.headers: CIMultiDictProxy[str] = response.headers
        self.raw_headers: RawHeaders = response.raw_headers

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, without its transfer coding. Raises ``UpstreamReset`` or ``UpstreamTimeout``."""
        try:
            while piece := await self._response.content.readany():
                yield piece
        except TimeoutError:
            raise UpstreamTimeout("idle_timeout", self._timeouts.idle, sent=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamReset(type(error).__name__) from None

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises ``UpstreamReset`` for one of more than ``limit`` bytes."""
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            if len(body) > limit:
                raise UpstreamReset(f"its answer has more than {limit} bytes")
        return bytes(body)


class Upstream:
    """The upstream at ``base_url``. No redirects, no decompression, no proxy from the environment, no total timeout."""

    def __init__(self, base_url: str, timeouts: Timeouts) -> None:
        self.base_url = base_url
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.idle
                ),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    @asynccontextmanager
    async def exchange(
        self, method: str, target: str, headers: Sequence[tuple[bytes, bytes]] = (), body: Body = b""
    ) -> AsyncIterator[Answer]:
        """One request. ``target`` is path and query as they go on the wire; leaving the block frees the connection.

        ``headers`` go as they are, without those that are set here: ``Host`` and the length of the body.
        Raises ``UpstreamUnreachable``, ``UpstreamTimeout`` or ``UpstreamReset``.
        """
        fields = CIMultiDict((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in headers)
        url = URL(self.base_url + target, encoded=True)
        try:
            async with asyncio.timeout(self._timeouts.connect + self._timeouts.first_byte):
                response = await self._opened().request(
                    method, url, headers=fields, data=body or None, allow_redirects=False
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UpstreamUnreachable(type(error).__name__) from None
        except TimeoutError:
            raise UpstreamTimeout("first_byte_timeout", self._timeouts.first_byte, sent=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamReset(type(error).__name__) from None
        try:
            yield Answer(response, self._timeouts)
        finally:
            response.close()

    async def close(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None
