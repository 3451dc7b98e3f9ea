"""Receives request bodies, each within its limit and time, and all within a budget; and reads in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Concatenate, Final, ParamSpec, TypeVar

from aiohttp import HttpVersion11, hdrs, web

from relay.core.json_scan import Body
from relay.edge.http.budget import Budget, Exhausted, Place
from relay.edge.http.problems import ProblemError

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

QUICK: Final = 16 << 10
"""Bytes that are read at once, whatever they are: within a few milliseconds, and faster than another thread is."""

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="scan")

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of one body and of all that are held together; ``timeout``: seconds for one body to arrive.

    ``section`` is the part of the configuration that they stand in, for the texts of refusals.
    """

    max_body: int
    max_inflight_bytes: int
    timeout: float
    section: str = "webhooks"


class Received:
    """A whole body and its place in the budget. ``release`` it where it is needed no more, before the block ends."""

    __slots__ = ("_place", "body")

    def __init__(self, body: Body, place: Place) -> None:
        self.body = body
        self._place = place

    def release(self) -> None:
        """Forgets the body; more than once does no harm."""
        self.body = b""
        self._place.release()


class Bodies:
    """Receives whole bodies, which count as they arrive."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._budget = Budget(limits.max_inflight_bytes)

    @property
    def inflight(self) -> int:
        """Bytes of bodies that are held."""
        return self._budget.held

    @asynccontextmanager
    async def received(self, request: web.BaseRequest, client: str | None = None) -> AsyncIterator[Received]:
        """The body, which counts until it is released or the block ends. Raises ``ProblemError``.

        ``client``: whose it is, by name; else the peer's address.
        """
        received = Received(b"", self._budget.place(client or request.remote or ""))
        try:
            try:
                received.body = await self._read(request, received._place)
            except Exhausted as full:
                mine = "The bodies of this client are" if full.alone else "Bodies are"
                limit = f"{self._limits.section}.max_inflight_bytes"
                raise ProblemError("overloaded", f"{mine} at the limit ({limit}).") from None
            yield received
        finally:
            received.release()

    async def _read(self, request: web.BaseRequest, place: Place) -> Body:
        expected = request.content_length
        if expected is not None and expected > self._limits.max_body:
            raise self._too_large()
        if request.content.is_eof():
            body = request.content.read_nowait(-1)  # all of it came with the head: nothing to wait for
            if len(body) > self._limits.max_body:
                raise self._too_large()
            place.take(len(body))
            return body
        self._budget.require(place.client, expected or 0)  # to say so before it is sent
        return await self._in_time(request, place)

    async def _in_time(self, request: web.BaseRequest, place: Place) -> bytearray:
        invite(request)
        try:
            async with asyncio.timeout(self._limits.timeout):
                return await self._pieces(request, place)
        except TimeoutError:
            raise ProblemError("body_timeout") from None
        except web.RequestPayloadError:
            raise ProblemError("bad_request", "The framing of the body is not valid according to RFC 9112.") from None

    async def _pieces(self, request: web.BaseRequest, place: Place) -> bytearray:
        body = bytearray()
        while chunk := await piece_of(request):
            place.grow(len(chunk))
            body += chunk
            if len(body) > self._limits.max_body:
                raise self._too_large()
        return body

    def _too_large(self) -> ProblemError:
        limit = f"{self._limits.max_body} bytes ({self._limits.section}.max_body)"
        return ProblemError("payload_too_large", f"The limit is {limit}.")


def require_known_coding(request: web.BaseRequest) -> None:
    """Raises ``ProblemError`` for a body in another transfer coding than ``chunked`` (RFC 9112, 6.1).

    It would be taken for its content, and go on as that: ``gzip, chunked`` as ``chunked``.
    """
    codings = ",".join(request.headers.getall(hdrs.TRANSFER_ENCODING, ()))
    if codings and codings.strip().lower() != "chunked":
        raise ProblemError("unsupported_transfer_coding")


async def piece_of(request: web.BaseRequest) -> bytes:
    """What has come of the body, once something has; empty at its end.

    Raises ``ConnectionError`` where the client has gone, ``web.RequestPayloadError`` where the framing is broken.
    """
    try:
        return await request.content.readany()
    except (ConnectionError, web.RequestPayloadError) as error:
        error.__traceback__ = None  # the reader keeps this error, whose frames hold the reader; hence another one
        if isinstance(error, ConnectionError):
            raise ConnectionResetError("the client has gone") from None
        raise web.RequestPayloadError(str(error)) from None


def invite(request: web.BaseRequest) -> None:
    """Asks a sender that waits for it to go on with the body (RFC 9110, 10.1.1); curl does above 1 MiB."""
    expected = request.headers.get(hdrs.EXPECT, "")
    if expected.lower() == "100-continue" and request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(_CONTINUE)  # not through the writer, for which the answer would have begun


async def scanned(read: Callable[Concatenate[Body, P], T], body: Body, *args: P.args, **kwargs: P.kwargs) -> T:
    """``read(body, ...)``, of a large body beside the event loop, which goes on meanwhile.

    ``read`` must be pure and bounded, such as a walk (``relay.core.json_scan``).
    """
    if len(body) <= QUICK:
        return read(body, *args, **kwargs)
    work = asyncio.get_running_loop().run_in_executor(_THREAD, lambda: read(body, *args, **kwargs))
    return await work
