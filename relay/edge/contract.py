"""The contract in machine form, for everybody who reaches the listener: it tells nothing that the docs do not.

No token, so that a consumer's tools can load it. What the documents say does not depend on the configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from aiohttp import hdrs, web

MAX_AGE = 300
"""Seconds for which a document may be kept: it changes with the relay's version."""

Document = Callable[[], bytes]


class ContractRoutes:
    """Serves the documents. Each is made when it is first asked for."""

    def __init__(self, asyncapi: Document) -> None:
        self._asyncapi = cache(asyncapi)

    def add_to(self, app: web.Application) -> None:
        """Registers the routes."""
        app.router.add_get("/asyncapi.json", self.asyncapi)

    async def asyncapi(self, _: web.Request) -> web.StreamResponse:
        """The AsyncAPI document."""
        return _shown(self._asyncapi(), "application/json")


def _shown(document: bytes, content_type: str) -> web.Response:
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: f"public, max-age={MAX_AGE}"}
    return web.Response(body=document, headers=headers)
