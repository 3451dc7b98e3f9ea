"""Applications behind our own listener."""

from __future__ import annotations

import pytest
from aiohttp import web

from tests.services.raw_http import ask, get, post
from tests.unit.edge.serving import routed


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=request.path.rpartition("/")[2])


async def gone(_: web.Request) -> web.StreamResponse:
    raise web.HTTPGone


async def bad(_: web.Request) -> web.StreamResponse:
    raise web.HTTPBadRequest


async def moved(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


async def large(request: web.Request) -> web.StreamResponse:
    return web.Response(body=await request.read())


ROUTES = (
    web.get("/hello/{name}", hello),
    web.post("/large", large),
    web.get("/gone", gone),
    web.get("/bad", bad),
    web.get("/moved", moved),
)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (get("/nowhere"), 404, "not_found"),
        (post("/hello/x"), 405, "method_not_allowed"),
        (post("/large", b"", "Expect: a miracle"), 417, "bad_request"),
        (post("/large", b"x" * (1 << 20) + b"x"), 413, "payload_too_large"),
        (get("/gone"), 410, "bad_request"),
        (get("/bad"), 400, "bad_request"),
    ],
)
async def test_what_aiohttp_refuses_is_answered_as_a_problem(request_: bytes, status: int, code: str) -> None:
    """Clients would meet aiohttp's pages of text among our documents."""
    async with routed(ROUTES) as url:
        reply = await ask(url, request_)
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json["code"] == code
        assert reply.status == (400 if code == "bad_request" else status)


async def test_a_405_lists_what_is_allowed() -> None:
    """RFC 9110 demands it, and the hint refers to it."""
    async with routed(ROUTES) as url:
        assert (await ask(url, post("/hello/x"))).headers["allow"] == "GET, HEAD"


async def test_routes_and_redirections_of_the_application_work() -> None:
    """The console's own answers would be turned into problems."""
    async with routed(ROUTES) as url:
        assert (await ask(url, get("/hello/you"))).body == b"you"
        reply = await ask(url, get("/moved"))
        assert (reply.status, reply.headers["location"]) == (302, "/elsewhere")


async def test_any_other_path_is_only_unknown() -> None:
    """Somebody who mistypes a path would read what is no help."""
    async with routed(ROUTES) as url:
        assert "detail" not in (await ask(url, get("/v1/chat"))).json
