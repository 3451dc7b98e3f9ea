"""Routes the requests of a listener: deliveries and the proxy directly, everything else through aiohttp's router."""

from __future__ import annotations

from aiohttp import web

from relay.edge.http.fast_path import Message, Respond
from relay.edge.http.routed import Routed
from relay.edge.http.server import Handler, path_of
from relay.edge.proxy.proxy import ProxyRoutes
from relay.edge.webhooks import PREFIX, Webhooks


class Dispatcher:
    def __init__(self, app: web.Application, deliveries: Webhooks, proxied: ProxyRoutes | None = None) -> None:
        self._routed = Routed(app)
        self._deliveries = deliveries
        self._proxied = proxied
        self.request_factory = self._routed.request_factory

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Deliveries go past the router: resolving a route costs as much as parsing their JSON."""
        return await self._part(path_of(request))(request)

    def _part(self, path: str) -> Handler:
        if path.startswith(PREFIX):
            return self._deliveries
        if self._proxied is not None and self._proxied.serve(path):
            return self._proxied
        return self._routed

    def take(self, message: Message, body: bytes, remote: str, respond: Respond) -> bool:
        """The short way for deliveries."""
        return self._deliveries.take(message, body, remote, respond)
