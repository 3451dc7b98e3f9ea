"""An aiohttp application behind relay's own listener, with its refusals as problem documents.

aiohttp runs applications only with its own server, so this reaches for two of its private methods
(``aiohttp_internals``).
"""

from __future__ import annotations

from aiohttp import web

from relay.edge.http import problems
from relay.edge.http.server import RequestFactory, respond


class Routed:
    """Gives requests to the routes of an application, as the ``Handler`` of a listener."""

    def __init__(self, app: web.Application) -> None:
        app.freeze()
        self.request_factory: RequestFactory = app._make_request
        self._handle = app._handle

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.Request), "the listener must use this object's request_factory"
        try:
            return await self._handle(request)
        except web.HTTPException as error:
            error.__traceback__ = None  # the router keeps the error, and its frames the request
            if error.status < 400:
                raise
            return respond(_problem_of(error, request))


def _problem_of(error: web.HTTPException, request: web.Request) -> problems.Answer:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return problems.answer("method_not_allowed", allow=sorted(error.allowed_methods))
    if isinstance(error, web.HTTPNotFound):
        return problems.answer("not_found")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return problems.answer("payload_too_large")
    return problems.answer("bad_request", error.reason) if error.status < 500 else problems.answer("internal")
