"""Fetches outputs from where their links lead, of which nothing is trusted.

Only https, to public addresses; what an answer says of itself is checked, and all of it has limits. No cookies, no
credentials, no proxy of the environment.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import hdrs
from yarl import URL

from relay.archive.errors import FetchError
from relay.core.archive.address import Hosts, is_public
from relay.core.archive.kinds import HEAD, content_type_of
from relay.core.network import why

MAX_REDIRECTS: Final = 5
_CHUNK: Final = 128 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REFUSED: Final = frozenset({401, 403, 404, 410})
"""S3 says 403 of a link whose time is over, and some CDNs 404 or 410."""
_BUSY: Final = frozenset({408, 425, 429})
_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "relay-archive"}


@dataclass(frozen=True, slots=True)
class Limits:
    """``size`` in bytes; the others in seconds: for one output, between two of its chunks, for one connection."""

    size: int = 2 << 30
    total: float = 900.0
    stall: float = 30.0
    connect: float = 10.0


class NotPublicError(OSError):
    """An address that links must not lead to."""

    def __init__(self) -> None:
        super().__init__("it is not an address of the internet")


@dataclass(frozen=True, slots=True)
class Download:
    """An output on its way. ``content_type`` is what it is, by its first bytes; ``size`` is what the source says.

    The iterator raises ``FetchError`` unless the output has arrived whole.
    """

    content_type: str
    size: int | None
    chunks: AsyncIterator[bytes]


class Source:
    """Where outputs come from: use it in one event loop, and ``close`` it there."""

    def __init__(self, hosts: Hosts, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._hosts, self._limits = hosts, limits
        self._tls = tls or ssl.create_default_context()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    @asynccontextmanager
    async def open(self, url: str, kind: str) -> AsyncIterator[Download]:
        """An output of this ``kind`` (image, video, audio). Raises ``FetchError``, also while chunks are read."""
        ends_at = asyncio.get_running_loop().time() + self._limits.total
        response = await self._answer(url)
        try:
            size = self._size_of(response)
            chunks = self._chunks(response, size, ends_at)
            head = await _head_of(chunks)
            content_type = content_type_of(head[:HEAD], kind)
            if content_type is None:
                said = response.headers.get(hdrs.CONTENT_TYPE, "nothing")[:60]
                raise FetchError("wrong_type", f"The source sent something that is no {kind}; it says {said!r}.")
            yield Download(content_type, size, _after(head, chunks))
        finally:
            response.close()

    async def _answer(self, url: str) -> aiohttp.ClientResponse:
        """The answer with the output, behind all redirects."""
        target = _parsed(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._request(target)
            if response.status not in _REDIRECTS:
                break
            location = response.headers.get(hdrs.LOCATION, "")
            response.close()
            target = _parsed(location, target)
        else:
            raise FetchError("too_many_redirects", f"The source redirected more than {MAX_REDIRECTS} times.")
        if response.status != 200 or response.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            response.close()
            raise _refusal(response)
        return response

    async def _request(self, target: URL) -> aiohttp.ClientResponse:
        session = self._session(self._is_trusted(target))
        try:
            return await session.get(target, allow_redirects=False)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error, target.host or "") from None

    def _is_trusted(self, target: URL) -> bool:
        """Whether the address does not matter. Raises ``FetchError`` for what may not be read."""
        host = target.host or ""
        if self._hosts.trusts(target.scheme, host, target.port or 0):
            return True
        if target.scheme != "https":
            raise FetchError("not_https", f"The link leads to {target.scheme[:20]!r}, not to https.")
        if not self._hosts.name(host):
            raise FetchError("host_not_allowed", f"The link leads to {host!r}, which is not in archive.allow_hosts.")
        return False

    def _session(self, trusted: bool) -> aiohttp.ClientSession:
        """Connections to trusted origins are not shared with others, since their addresses are not checked."""
        if trusted not in self._sessions:
            self._sessions[trusted] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, socket_factory=None if trusted else _public_socket),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._limits.connect, sock_read=self._limits.stall
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                auto_decompress=False,
                read_bufsize=_CHUNK,
            )
        return self._sessions[trusted]

    def _size_of(self, response: aiohttp.ClientResponse) -> int | None:
        size = response.content_length
        if size is not None and size > self._limits.size:
            raise self._too_large(f"has {size}")
        return size

    async def _chunks(self, response: aiohttp.ClientResponse, size: int | None, ends_at: float) -> AsyncIterator[bytes]:
        """The body; raises ``FetchError`` where it is more or less than it should be, or takes too long."""
        loop, received, host = asyncio.get_running_loop(), 0, response.url.host or ""
        try:
            async for chunk in response.content.iter_any():
                received += len(chunk)
                if received > self._limits.size:
                    raise self._too_large("has more")
                if loop.time() > ends_at:
                    raise FetchError("timeout", f"{host} took more than {self._limits.total:g} s.", retriable=True)
                yield chunk
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error, host) from None
        if received == 0 or received != (size if size is not None else received):
            message = f"{host} sent {received} bytes of {'an output' if size is None else size}."
            raise FetchError("incomplete", message, retriable=True)

    def _too_large(self, what: str) -> FetchError:
        return FetchError("too_large", f"The output {what} bytes; archive.max_size is {self._limits.size}.")


def _public_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Called for each address that is connected to, however it was found."""
    family, type_, protocol, _, target = address
    if not is_public(str(target[0])):
        raise NotPublicError
    return socket.socket(family, type_, protocol)


def _parsed(url: str, base: URL | None = None) -> URL:
    """A link as it is: a signature holds for these very characters."""
    try:
        found = URL(url, encoded=True)
        target = base.join(found) if base is not None and not found.absolute else found
        usable = bool(target.host and target.port) and not target.raw_user and target.raw_password is None
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable():
        raise FetchError("bad_link", "The link is not one that can be read.")
    return target


async def _head_of(chunks: AsyncIterator[bytes]) -> bytes:
    head = b""
    while len(head) < HEAD:
        chunk = await anext(chunks, b"")
        if not chunk:
            break
        head += chunk
    return head


async def _after(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in chunks:
        yield chunk


def _refusal(response: aiohttp.ClientResponse) -> FetchError:
    host, status = response.url.host, response.status
    if status in _REFUSED:
        return FetchError("link_refused", f"{host} answers {status}: the link may be over.", fresh_link=True)
    if status >= 500 or status in _BUSY:
        return FetchError("source_failed", f"{host} answers {status}.", retriable=True)
    return FetchError("unexpected_answer", f"{host} answers {status}, or with an encoding that was not asked for.")


def _failure(error: Exception, host: str) -> FetchError:
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(cause, NotPublicError):
        return FetchError("address_not_public", f"{host!r} is not an address of the internet.")
    if isinstance(error, TimeoutError):
        return FetchError("timeout", f"{host} does not answer in time.", retriable=True)
    if isinstance(error, aiohttp.ClientPayloadError):
        return FetchError("incomplete", f"{host} ended the output early.", retriable=True)
    if isinstance(cause, ssl.SSLError):
        return FetchError("tls_failed", f"No TLS with {host}: {why(cause)}.", retriable=True)
    if isinstance(error, ValueError):  # also of aiohttp's own, such as InvalidURL
        return FetchError("bad_link", f"The link to {host!r} is not one that can be read.")
    return FetchError("unreachable", f"No output from {host}: {why(cause)}.", retriable=True)
