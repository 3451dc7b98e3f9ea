"""Bodies are received whole, once, within their limits. How they are refused on the way, test_webhooks.py shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from relay.edge.http.bodies import Bodies, BodyLimits
from relay.edge.http.listener import Listener
from relay.edge.http.problems import ProblemError
from relay.edge.http.server import Limits, respond
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.telemetry import Telemetry
from tests.services.raw_http import ask, chunked, post, wire

LIMITS = BodyLimits(max_body=4 << 20, max_inflight_bytes=6 << 20, timeout=5.0, section="proxy")


@asynccontextmanager
async def receiving(bodies: Bodies, held: asyncio.Event | None = None) -> AsyncIterator[str]:
    """Answers with the length of each body; with ``held`` it sets that and goes no further. Yields the URL."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        try:
            async with bodies.received(request, request.headers.get("X-Client")) as received:
                if held is not None:
                    held.set()
                    await asyncio.Event().wait()
                body = received.body
                return web.Response(text=f"{len(body)} {body[:2].decode()}{body[-2:].decode()}")
        except ProblemError as problem:
            return respond(problem.answer)

    listener = Listener(serve, host="127.0.0.1", port=0, limits=Limits(), signals=HttpSignals(Telemetry()))
    await listener.start()
    try:
        yield listener.url
    finally:
        await listener.stop(1.0)


@pytest.mark.parametrize("size", [0, 10, 100_000, 4 << 20])
async def test_a_body_arrives_whole_however_it_is_framed(size: int) -> None:
    """A submission would reach the upstream cut short, and be paid for."""
    body = b"ab" + b"x" * (size - 4) + b"yz" if size else b""
    seen = f"{size} abyz" if size else "0 "
    async with receiving(Bodies(LIMITS)) as url:
        assert (await ask(url, post("/", body))).body.decode() == seen
        pieces = [body[at : at + 65_536] for at in range(0, size, 65_536)]
        assert (await ask(url, chunked("/", *pieces))).body.decode() == seen


async def test_a_body_counts_until_it_is_done_with() -> None:
    """Bodies waiting for a slow upstream would fill the memory, as only their receipt was counted."""
    bodies, held = Bodies(LIMITS), asyncio.Event()
    async with receiving(bodies, held) as url:
        async with wire(url) as first:
            await first.send(post("/", b"x" * (4 << 20)))
            async with asyncio.timeout(5):
                await held.wait()
            refused = await ask(
                url, post("/", b"x" * (3 << 20), "X-Client: other")[:100_000]
            )  # before all of it is sent
            assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "overloaded", "5")
        async with asyncio.timeout(5):
            while bodies.inflight:
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("request_of", [post, chunked])
async def test_a_small_body_counts_although_it_comes_with_its_head(request_of: Callable[[str, bytes], bytes]) -> None:
    """Thousands of small bodies would wait for a slow upstream beyond every limit."""
    bodies, held = Bodies(LIMITS), asyncio.Event()
    async with receiving(bodies, held) as url, wire(url) as connection:
        await connection.send(request_of("/", b"x" * 1000))
        async with asyncio.timeout(5):
            await held.wait()
        assert bodies.inflight == 1000


async def test_a_refusal_names_the_limit_that_can_be_raised() -> None:
    """An operator would raise the limit of webhooks for a submission that is too large."""
    async with receiving(Bodies(LIMITS)) as url:
        announced = await ask(url, post("/", b"x" * (5 << 20))[:1000])
        assert (announced.status, announced.code) == (413, "payload_too_large")
        assert "proxy.max_body" in announced.json["detail"]


async def test_the_limit_holds_for_what_comes_with_the_head() -> None:
    """A body without a length would pass, whatever its size, if it only came quickly."""
    async with receiving(Bodies(BodyLimits(max_body=1024, max_inflight_bytes=1024, timeout=5.0))) as url:
        assert (await ask(url, chunked("/", b"x" * 1024))).status == 200
        assert (await ask(url, chunked("/", b"x" * 1025))).code == "payload_too_large"


async def test_a_request_without_a_body_takes_no_place() -> None:
    """Requests without a body would be refused while large ones arrive."""
    async with receiving(Bodies(BodyLimits(max_body=1024, max_inflight_bytes=1, timeout=5.0))) as url:
        assert (await ask(url, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200


async def until(condition: Callable[[], bool]) -> None:
    """Polls for what no event signals."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_has_not_come_takes_no_place() -> None:
    """Four small bodies of unknown length would keep everybody else out for as long as the upstream takes."""
    bodies = Bodies(LIMITS)
    begun = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"
    async with receiving(bodies) as url, wire(url) as first, wire(url) as second:
        for connection in (first, second):
            await connection.send(begun)
        await until(lambda: bodies.inflight == 10)
        assert (await ask(url, post("/", b"x" * (4 << 20), "X-Client: other"))).status == 200
        for connection in (first, second):
            await connection.send(b"0\r\n\r\n")
            assert (await connection.answer()).body == b"5 abde"
        await until(lambda: bodies.inflight == 0)


async def test_a_body_of_unknown_length_is_cut_where_the_budget_ends() -> None:
    """What grows would pass a limit that only looks at the beginning."""
    bodies = Bodies(BodyLimits(max_body=4 << 20, max_inflight_bytes=4 << 20, timeout=5.0))
    async with receiving(bodies) as url, wire(url) as first, wire(url) as second:
        await first.send(post("/", b"x" * (3 << 20))[:-10])
        await until(lambda: bodies.inflight > 3_000_000)
        await second.send(
            chunked(
                "/",
                b"x" * (2 << 20),
            )
        )
        reply = await second.answer()
        assert (reply.status, reply.code) == (503, "overloaded")


async def test_one_client_leaves_room_for_others() -> None:
    """One client with many large bodies would be all that the relay serves."""
    bodies = Bodies(BodyLimits(max_body=4 << 20, max_inflight_bytes=10 << 20, timeout=5.0))
    body = b"x" * (3 << 20)
    async with receiving(bodies) as url, wire(url) as first, wire(url) as second:
        await first.send(post("/", body, "X-Client: greedy")[:-10])
        await until(lambda: bodies.inflight > 3_000_000)
        await second.send(post("/", body, "X-Client: greedy")[:-10])
        reply = await second.answer()
        assert (reply.status, reply.code) == (503, "overloaded")
        assert "this client" in reply.json["detail"]
        assert (await ask(url, post("/", body, "X-Client: modest"))).status == 200
