"""The machine-readable contract, for everybody who reaches the listener: it contains nothing that the docs do not.

No token, so that a consumer's tools can load it. What the documents say does not depend on the configuration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache

from aiohttp import hdrs, web

from relay.edge.http import problems
from relay.edge.http.server import respond

MAX_AGE = 300
"""Seconds for which a document may be kept: it changes with the relay's version."""

Document = Callable[[], bytes]


class ContractRoutes:
    """Serves the documents, and the schemas by name. Each is made when it is first asked for."""

    def __init__(self, asyncapi: Document, openapi: Document, schemas: Callable[[], Mapping[str, bytes]]) -> None:
        self._asyncapi, self._openapi, self._schemas = cache(asyncapi), cache(openapi), cache(schemas)

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (
            web.get("/asyncapi.json", _showing(self._asyncapi)),
            web.get("/openapi.json", _showing(self._openapi)),
            web.get("/schemas/{name}", self.schema),
        )

    async def schema(self, request: web.Request) -> web.StreamResponse:
        """The JSON Schema of one kind of ``data``, as ``<name>.json``."""
        found = self._schemas().get(request.match_info["name"].removesuffix(".json"))
        if found is None:
            return respond(problems.answer("not_found", "No schema has this name."))
        return _shown(found, "application/schema+json")


def _showing(document: Document) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def show(_: web.Request) -> web.StreamResponse:
        return _shown(document(), "application/json")

    return show


def _shown(document: bytes, content_type: str) -> web.Response:
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: f"public, max-age={MAX_AGE}"}
    return web.Response(body=document, headers=headers)
