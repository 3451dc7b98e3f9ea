"""What stands behind a listener: deliveries and the proxy at once, everything else through aiohttp's router.

aiohttp runs applications only with its own server, so this reaches for two of its private methods, here and nowhere
else; ``tests/unit/edge/test_dispatch.py`` says so when a release moves them.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.http import RawRequestMessage

from relay.edge.http import problems
from relay.edge.http.fast_path import Respond
from relay.edge.http.paths import path_of
from relay.edge.http.server import Handler, RequestFactory, respond
from relay.edge.proxy.proxy import is_proxied
from relay.edge.webhooks import PREFIX, Webhooks


class Routed:
    """An application behind our own listener, its refusals told as problem documents."""

    def __init__(self, app: web.Application) -> None:
        app.freeze()
        self.request_factory: RequestFactory = app._make_request
        self._handle = app._handle

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The application's answer."""
        assert isinstance(request, web.Request), "the listener must use this object's request_factory"
        try:
            return await self._handle(request)
        except web.HTTPException as error:
            error.__traceback__ = None  # the router keeps the error, and its frames the request
            if error.status < 400:
                raise
            return respond(_problem_of(error))


class Front:
    """The main listener's door."""

    def __init__(self, app: web.Application, deliveries: Webhooks, proxied: Handler | None = None) -> None:
        self._routed = Routed(app)
        self._deliveries = deliveries
        self._proxied: Handler = proxied or self._routed
        self.request_factory = self._routed.request_factory
        self.draining = False
        """While set, each answer asks the peer to close its connection; requests are still served."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Deliveries go past the router: resolving a route costs as much as parsing their JSON."""
        response = await self._part(path_of(request))(request)
        if self.draining:
            response.force_close()
        return response

    def _part(self, path: str) -> Handler:
        if path.startswith(PREFIX):
            return self._deliveries
        return self._proxied if is_proxied(path) else self._routed

    def take(self, message: RawRequestMessage, body: bytes, remote: str, respond: Respond) -> bool:
        """The short way for deliveries; not while draining, when answers carry a header more."""
        return not self.draining and self._deliveries.take(message, body, remote, respond)


def _problem_of(error: web.HTTPException) -> problems.Answer:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return problems.answer("method_not_allowed", allow=sorted(error.allowed_methods))
    if isinstance(error, web.HTTPNotFound):
        return problems.answer("not_found")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return problems.answer("payload_too_large")
    return problems.answer("bad_request", error.reason) if error.status < 500 else problems.answer("internal")
