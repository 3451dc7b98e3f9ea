"""What a listener answers and reports when something fails: a handler, a client, or what is no HTTP."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web

from relay.edge.http.problems import PROBLEM_JSON, answer
from relay.edge.http.server import respond
from tests.services.raw_http import ask, get, post, wire
from tests.unit.edge.http.test_server import Noted, listening


async def test_a_bug_is_a_problem_for_the_client_and_a_signal_for_us(caplog: pytest.LogCaptureFixture) -> None:
    """The client would get a page of text, and the log aiohttp's traceback with the request line."""

    async def broken(_: web.BaseRequest) -> web.StreamResponse:
        raise KeyError("secret-value")

    signals = Noted()
    async with listening(broken, signals=signals) as listener:
        reply = await ask(listener.url, post("/t0ken", b"x"))
    assert (reply.status, reply.code) == (500, "internal")
    assert b"secret-value" not in reply.body
    assert [(route, type(error)) for route, error in signals.failed] == [("POST", KeyError)]
    assert not caplog.records


async def test_a_time_out_that_nobody_caught_is_not_lost() -> None:
    """aiohttp makes a 504 of it and forgets the reason."""

    async def late(_: web.BaseRequest) -> web.StreamResponse:
        raise TimeoutError

    signals = Noted()
    async with listening(late, signals=signals) as listener:
        assert (await ask(listener.url, post("/"))).code == "internal"
    assert len(signals.failed) == 1


async def test_a_failure_after_the_answer_has_begun_ends_the_connection() -> None:
    """A second answer would be written into the first."""

    async def half(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        raise RuntimeError

    async with listening(half) as listener, wire(listener.url) as connection:
        await connection.send(get("/"))
        received = await connection.rest()
    assert b"begun" in received
    assert b"problem" not in received
    assert not received.endswith(b"0\r\n\r\n"), "a truncated answer must not look whole"


async def test_what_fails_between_a_handler_and_its_answer_is_reported() -> None:
    """aiohttp hands it to nobody but its log: connections would end without a reason that anybody sees."""

    class Fails(web.Response):
        async def prepare(self, request: web.BaseRequest) -> None:
            raise KeyError(request.path)

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return Fails()

    signals = Noted()
    async with listening(handler, signals=signals) as listener, wire(listener.url) as connection:
        await connection.send(get("/"))
        assert await connection.rest() == b""
    assert [(route, type(error)) for route, error in signals.failed] == [("connection", KeyError)]


async def test_a_body_that_is_broken_behind_its_answer_is_no_failure_of_ours() -> None:
    """A sender with a bug of its own would fill the log with errors of the relay."""

    async def at_once(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="enough")

    signals = Noted()
    async with listening(at_once, signals=signals) as listener, wire(listener.url) as connection:
        await connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await connection.answer()).body == b"enough"
        await connection.send(b"no size\r\n")
        await connection.rest()
    assert signals.failed == []


@pytest.mark.parametrize(
    "rubbish",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64],
    ids=["TLS", "text", "no Host", "zeros"],
)
async def test_what_is_no_http_gets_a_problem_and_one_quiet_signal(
    rubbish: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Each scanner would leave a traceback in the log, with what it sent."""
    signals = Noted()
    async with listening(signals=signals) as listener:
        reply = await ask(listener.url, rubbish)
    assert (reply.status, reply.code) == (400, "bad_request")
    assert [peer for peer, _ in signals.malformed] == ["127.0.0.1"]
    assert not signals.failed
    assert not caplog.records


async def test_a_client_that_leaves_makes_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    """Every interrupted delivery would look like a failure of the relay."""
    caplog.set_level(logging.DEBUG)
    entered, left = asyncio.Event(), asyncio.Event()

    async def slow(_: web.BaseRequest) -> web.StreamResponse:
        entered.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            left.set()
            raise
        return web.Response()

    signals = Noted()
    async with listening(slow, signals=signals) as listener:
        async with wire(listener.url) as connection:
            await connection.send(post("/", b"x"))
            await entered.wait()
        await asyncio.wait_for(left.wait(), 5)
    assert not signals.failed
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_a_refusal_becomes_a_response_with_its_headers() -> None:
    """A 405 would lack Allow, a 503 Retry-After."""
    response = respond(answer("method_not_allowed", allow=["POST"]))
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert response.content_type == PROBLEM_JSON
