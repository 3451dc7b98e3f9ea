"""Large answers of the routes under ``/v1``, and clients who do not read them."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest
from aiohttp import web

from relay.edge.api.guard import ApiAuth, json_response
from relay.edge.http import whole_answers
from relay.edge.http.auth import TokenSet
from tests.services.raw_http import ask, get, wire
from tests.unit.edge.serving import routed

SIZE = 16 << 20
GET = get("/v1/thing")


def large(gate: ApiAuth) -> AbstractAsyncContextManager[str]:
    async def route(_: web.Request) -> web.StreamResponse:
        return json_response("x" * SIZE, status=299)

    return routed([web.route("*", "/v1/thing", gate.guard(route))])


async def test_a_large_answer_is_as_it_would_be_otherwise() -> None:
    """A client would get other headers, half of the body, or a connection that it cannot use again."""
    async with large(ApiAuth(TokenSet(()), on_loopback=True)) as url, wire(url) as connection:
        for _ in range(2):
            await connection.send(GET)
            answer = await connection.answer()
            assert (answer.status, answer.headers["content-type"]) == (299, "application/json")
            assert len(answer.json) == SIZE
        assert (await ask(url, get("/v1/thing", method="HEAD"), "HEAD")).headers["content-length"] == str(SIZE + 2)


async def test_a_client_that_does_not_read_is_cut() -> None:
    """Its answer would stay in memory for as long as it keeps the connection open."""
    gate = ApiAuth(TokenSet(()), on_loopback=True, send_timeout=0.1)
    async with large(gate) as url, wire(url) as connection:
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(GET)
        async with asyncio.timeout(10):
            while not gate._answers._waiting:
                await asyncio.sleep(0.01)
            while gate._answers._waiting:
                await asyncio.sleep(0.01)
        connection.reader._transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionResetError):
            await connection.rest()


async def test_what_waits_for_all_clients_together_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some dozens of clients that do not read would take all the memory."""
    monkeypatch.setattr(whole_answers, "MAX_WAITING", SIZE + 1000)
    gate = ApiAuth(TokenSet(()), on_loopback=True)
    async with large(gate) as url, wire(url) as connection:
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(GET)
        async with asyncio.timeout(10):
            while not gate._answers._waiting:
                await asyncio.sleep(0.01)
        refused = await ask(url, GET)
        assert (refused.status, refused.code) == (503, "overloaded")
