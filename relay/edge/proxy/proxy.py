"""The proxy: requests go to the upstream, and answers come back, unchanged.

``relay.edge.proxy.submissions`` and ``relay.edge.chat.admission`` look into some of what passes here; everything else
streams through in both directions without being looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import hdrs, web

from relay.core.chat.request import model_of
from relay.core.conceal import Concealed, Cover
from relay.core.errors import RelayError
from relay.core.target import why_odd
from relay.edge.http.bodies import Bodies, BodyLimits, invite, piece_of, require_known_coding, scanned
from relay.edge.http.budget import Budget
from relay.edge.http.local_access import why_of_a_page
from relay.edge.http.problems import ProblemError
from relay.edge.http.raw_response import RawResponse
from relay.edge.http.server import path_of, respond
from relay.edge.proxy.apis import Apis, Called, plain
from relay.edge.proxy.clients import Client, Clients
from relay.upstream import Answer, RawHeaders, RequestBody, Upstream, request_headers, response_headers

TASK_RESULT = "/v3/async/task-result"

NOTHING = Concealed()

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_FREE = frozenset(("GET", "HEAD", "OPTIONS"))
"""They count for no limit: to ask for a result again and again must not cost a client its chats."""
_REFUSED = frozenset(("TRACE", "CONNECT"))
"""The first has a server show the request as it got it, with the key that the relay added to it."""

Route = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
ChatRoute = Callable[[web.BaseRequest, Called], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Pages:
    """The listener is on loopback, so that web pages are kept out; ``public_host``: the name that a proxy gives it."""

    public_host: str | None = None


class Proxy:
    """Passes requests through, and has what those need who look into them."""

    def __init__(
        self,
        upstream: Upstream,
        clients: Clients,
        apis: Apis,
        limits: BodyLimits,
        *,
        idle_timeout: float = 60.0,
        concealed: Concealed = NOTHING,
        pages: Pages | None = None,
    ) -> None:
        self._idle_timeout, self._pages = idle_timeout, pages
        self.concealed = concealed
        """Secrets that no answer may show. May be exchanged for others while the relay runs."""
        self.upstream = upstream
        self.clients = clients
        self.apis = apis
        self.bodies = Bodies(limits)
        self.answers = Budget(limits.max_inflight_bytes // 2)
        """Of those that are held as a whole before their clients see them."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, passed through in both directions as it comes."""
        outgoing = self.outgoing(request)
        try:
            client = self.admit(request)
            if request.method not in _FREE:
                self.clients.count(client)
            async with self._outbound_body(request, client) as body:
                return await self._exchange(request, body, outgoing)
        except (RelayError, ProblemError) as error:
            return outgoing.abort() if outgoing.begun else self.refused(request, error)

    async def _exchange(self, request: web.BaseRequest, body: RequestBody, outgoing: RawResponse) -> web.StreamResponse:
        headers = self.outbound(request)
        if request.content_length is not None and not isinstance(body, bytes | bytearray):
            headers = [*headers, (b"Content-Length", b"%d" % request.content_length)]
        async with self.upstream.exchange(request.method, path_of(request), headers, body) as answer:
            return await self.answer_with(outgoing, answer)

    def outgoing(self, request: web.BaseRequest) -> RawResponse:
        """The answer to a request, which cuts a client that takes nothing of it for too long."""
        return RawResponse(request, self._idle_timeout)

    def admit(self, request: web.BaseRequest) -> Client:
        """Who sent it. Raises ``ProblemError``.

        A page of any site can have the user's browser ask a listener on loopback, and nobody shows a key where no
        clients are configured.
        """
        client = self.clients.admit(request.headers)
        pages = self._pages if client.name is None else None
        if pages is not None and (verdict := why_of_a_page(request.headers, pages.public_host)):
            raise ProblemError(*verdict)
        return client

    def refused(self, request: web.BaseRequest, error: RelayError | ProblemError) -> web.StreamResponse:
        """The error in the shape that the route's clients read."""
        response = respond(self.apis.answer(path_of(request), error))
        if request.body_exists and not request.content.is_eof():
            response.force_close()  # the rest of the body is not waited for
        return response

    def outbound(self, request: web.BaseRequest) -> RawHeaders:
        """The request's headers as they go to the upstream, with the key that goes there."""
        return self.clients.authorized(request_headers(request.raw_headers))

    @asynccontextmanager
    async def _outbound_body(self, request: web.BaseRequest, client: Client) -> AsyncIterator[RequestBody]:
        if client.models and self.apis.family(path_of(request)) is None:
            # Limits are by endpoint and model there, and only submissions and questions for results are known so well.
            raise ProblemError("model_not_allowed", "The client may only submit tasks here and request their results.")
        if not request.body_exists:
            yield b""
        elif not client.models:
            yield _streamed(request, self._idle_timeout)
        else:
            # A client that may use some models could get at the others by any route with a model in its body.
            async with self.bodies.received(request, client.name) as received:
                client.require_model(await scanned(model_of, received.body))
                yield received.body

    async def answer_with(self, outgoing: RawResponse, answer: Answer) -> web.StreamResponse:
        """Hands the upstream's answer on. Raises ``UpstreamError`` where it breaks off."""
        outgoing.begin(answer.status, answer.reason, response_headers(answer.raw_headers, answer.status))
        cover = Cover(self.concealed if _is_text(answer) else NOTHING)
        return await self.hand_on(outgoing, answer.pieces(), cover)

    async def hand_on(self, outgoing: RawResponse, pieces: AsyncIterator[bytes], cover: Cover) -> web.StreamResponse:
        """The body of an answer that has begun, as it comes."""
        async for piece in pieces:
            await outgoing.write(cover.take(piece))
        await outgoing.write(cover.rest())
        return await outgoing.finish()


class ProxyRoutes:
    """Which part of the proxy serves which of the upstream's routes."""

    def __init__(self, proxy: Proxy, *, submissions: Route, chat: ChatRoute) -> None:
        self._proxy, self._submissions, self._chat = proxy, submissions, chat

    def serve(self, path: str) -> bool:
        """Whether a path belongs to the upstream, or would with the right base."""
        return self._proxy.apis.proxied(path) or self._proxy.apis.meant(path) is not None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, served by the part that it belongs to."""
        target = path_of(request)
        try:
            _require_plain(request, target)
            self._require_base(request, target)
        except ProblemError as problem:
            return self._proxy.refused(request, problem)
        path = plain(target)
        if request.method == hdrs.METH_POST and (called := self._proxy.apis.begun(path)) is not None:
            return await self._chat(request, called)
        return await self._part(request.method, path)(request)

    def _require_base(self, request: web.BaseRequest, target: str) -> None:
        """Raises ``ProblemError`` for a client whose requests are one path off."""
        apis = self._proxy.apis
        if not apis.proxied(target) and (api := apis.meant(target)) is not None:
            base = f"{request.scheme}://{request.host}{api.base}"
            raise ProblemError("not_found", f"This API is elsewhere here: set base_url to {base}.")

    def _part(self, method: str, path: str) -> Route:
        if self._proxy.apis.family(path) is not None:
            return self._proxy
        if method == hdrs.METH_POST or (method == hdrs.METH_GET and path == TASK_RESULT):
            return self._submissions
        return self._proxy


def _require_plain(request: web.BaseRequest, target: str) -> None:
    """Raises ``ProblemError`` for what the upstream may read otherwise than the relay does."""
    if request.method in _REFUSED:
        raise ProblemError("method_not_allowed", allow=_METHODS)
    if detail := why_odd(target):
        raise ProblemError("bad_request", detail)
    require_known_coding(request)


def _is_text(answer: Answer) -> bool:
    """Whether an answer is one in which the upstream may quote what it was asked with. What is streamed is not."""
    if answer.status >= 400:
        return True
    kind = answer.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    return kind.endswith("json") or (kind.startswith("text/") and kind != "text/event-stream")


async def _streamed(request: web.BaseRequest, timeout: float) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ``ProblemError`` once nothing has come for ``timeout`` seconds."""
    invite(request)
    while True:
        try:
            async with asyncio.timeout(timeout):
                piece = await piece_of(request)
        except TimeoutError:
            raise ProblemError("body_timeout") from None
        if not piece:
            return
        yield piece
