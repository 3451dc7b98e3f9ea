"""The head of a request has one limit as a whole, and a connection that has closed leaves nothing in memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import http_parser, web

from relay.edge.http.fast_path import FastPath
from relay.edge.http.heads import MAX_HEAD, HeadLimit, HeadTooLarge
from relay.edge.http.listener import Listener
from relay.edge.http.server import Connection, Limits
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.telemetry import Telemetry
from tests.services.raw_http import Wire, ask, chunked, get, post, wire
from tests.unit.edge.serving import PATH, TOKEN, gate, opened, receiving

FIELD = "X-Filler: " + "x" * 1000
MUCH = 64 << 20
"""Bytes: more than the buffers of both ends hold."""

SHORT = Limits(header_timeout=0.3)


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.read())


@asynccontextmanager
async def listening(limits: Limits | None = None) -> AsyncIterator[str]:
    """An echo behind a listener; its URL."""
    listener = Listener(echo, host="127.0.0.1", port=0, limits=limits or Limits(), signals=HttpSignals(Telemetry()))
    await listener.start()
    try:
        yield listener.url
    finally:
        await listener.stop(1.0)


def fields(size: int) -> list[str]:
    """Header fields of about this many bytes."""
    return [FIELD] * (size // len(FIELD))


async def in_pieces(connection: Wire, data: bytes, size: int) -> None:
    """Sends so that the other end reads several times."""
    for at in range(0, len(data), size):
        await connection.send(data[at : at + size])
        await asyncio.sleep(0)


# -- the limit -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("swift_parting")
async def test_a_sender_that_goes_on_after_the_refusal_is_not_read() -> None:
    """Broken: 200 of them have each turn of the loop copy 50 MB that nobody looks at, while a webhook waits."""
    async with listening() as url, wire(url) as connection:
        await connection.send(get("/", *fields(MAX_HEAD + 2000)))
        assert (await connection.answer()).status == 431
        sent, piece = 0, b"x" * (1 << 20)
        with suppress(ConnectionError):
            while sent < MUCH:
                connection.writer.write(piece)
                await connection.writer.drain()
                sent += len(piece)
    assert sent < MUCH, "all of it was taken"


@pytest.mark.usefixtures("swift_parting")
@pytest.mark.parametrize("piece", [1 << 20, 8000], ids=["at once", "in pieces"])
async def test_a_head_over_the_limit_is_refused(piece: int) -> None:
    """126 fields of 8 kB, each allowed, are a megabyte that anybody may have the relay keep."""
    async with listening() as url, wire(url) as connection:
        await in_pieces(connection, get("/", *fields(MAX_HEAD + 2000)), piece)
        reply = await connection.answer()
        assert (reply.status, reply.code, reply.headers["connection"]) == (431, "head_too_large", "close")
        assert await connection.rest() == b""


class SlowParser:
    """A parser that has not got a whole request yet."""

    message_consumed = None

    def feed_data(self, data: bytes) -> tuple[tuple[()], bool, bytes]:
        return (), False, b""


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n", b"\n\n\n"])
def test_empty_lines_before_a_head_are_no_end_of_it(lines: bytes) -> None:
    """A head of any size would pass that comes in one read behind two reads of empty lines."""
    limit = HeadLimit(SlowParser())
    limit.feed_data(lines)
    limit.feed_data(lines)
    with pytest.raises(HeadTooLarge):
        limit.feed_data(lines + b"GET / HTTP/1.1\r\n" + b"x" * MAX_HEAD)


def test_what_comes_after_a_refusal_is_dropped() -> None:
    """A sender that goes on would be refused again with each read, and what it sends be kept."""
    limit = HeadLimit(SlowParser())
    with pytest.raises(HeadTooLarge):
        limit.feed_data(b"x" * (MAX_HEAD + 1))
    assert limit.feed_data(b"x" * (MAX_HEAD + 1)) == ((), False, b"")


async def test_a_head_that_never_ends_is_refused_at_the_limit() -> None:
    """It would be kept until the time for heads is over, as large as it has grown by then."""
    async with listening() as url, wire(url) as connection:
        await connection.send(get("/", *fields(MAX_HEAD + 2000))[:-2])
        assert (await connection.answer()).code == "head_too_large"


@pytest.mark.parametrize("piece", [1 << 20, 5000, 1])
async def test_a_head_under_the_limit_is_read_however_it_is_cut(piece: int) -> None:
    """Long cookies and traces would be refused although they are allowed, where the network cuts them badly."""
    size = MAX_HEAD - 2000 if piece > 1 else 1000
    async with listening() as url, wire(url) as connection:
        for _ in range(3):
            await in_pieces(connection, post("/", b"y" * 100, *fields(size)), piece)
            assert (await connection.answer()).body == b"y" * 100


async def test_a_field_that_is_too_long_is_answered_alike() -> None:
    """A client that sends a long token would read that this is no HTTP."""
    async with listening() as url:
        assert (await ask(url, get("/", "X-Token: " + "x" * 9000))).code == "head_too_large"


async def test_a_large_body_is_no_head() -> None:
    """Bodies would count as heads, and no image could be uploaded."""
    body = b"z" * (3 << 20)
    async with listening() as url, wire(url) as connection:
        await connection.send(post("/", body[: 1 << 20]))
        assert (await connection.answer()).body == body[: 1 << 20]
        await in_pieces(connection, chunked("/", *[body[:100]] * 5000), 30_000)
        assert len((await connection.answer()).body) == 500_000
        await connection.send(get("/"))
        assert (await connection.answer()).status == 200


async def test_trailers_are_limited_like_a_head() -> None:
    """What follows a body's last chunk would be kept without end."""
    begun = chunked("/", b"x")[:-2]
    async with listening() as url, wire(url) as connection:
        await in_pieces(connection, begun + "\r\n".join([*fields(MAX_HEAD + 20_000), ""]).encode(), 8000)
        assert (await connection.answer()).status in (400, 431)


async def test_the_next_heads_of_a_sender_that_pipelines_are_not_all_taken() -> None:
    """32 heads of each connection would be held while its first answer is not read."""
    entered, taken = asyncio.Event(), 0

    async def stuck(_: web.BaseRequest) -> web.StreamResponse:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    listener = Listener(stuck, host="127.0.0.1", port=0, limits=Limits(), signals=HttpSignals(Telemetry()))
    await listener.start()
    async with wire(listener.url) as connection:
        await connection.send(get("/"))
        await asyncio.wait_for(entered.wait(), 5)
        for _ in range(40):
            connection.writer.write(get("/", *fields(50_000)))
        (served,) = [each for each in listener.server.connections if isinstance(each, Connection)]
        async with asyncio.timeout(5):
            while not served._buffer_paused:
                await asyncio.sleep(0.01)
        taken = len(served._messages)
    await listener.stop(0.1)
    assert taken <= 8


# -- what stays ----------------------------------------------------------------------------------------------------


def kept() -> list[object]:
    """Connections, and what stands before and behind them, that are still in memory."""
    kinds = (Connection, FastPath, http_parser.HttpRequestParser, web.BaseRequest)
    return [each for each in gc.get_objects() if isinstance(each, kinds)]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Cycles stay where they are."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def delivered(url: str) -> None:
    task = b'{"event_type":"ASYNC_TASK_RESULT","payload":{"task":{"task_id":"t","status":"TASK_STATUS_SUCCEED"}}}'
    async with wire(url) as connection:
        for _ in range(2):
            await connection.send(post(PATH, task))
            assert (await connection.answer()).status == 200


async def left_before_the_answer(url: str) -> None:
    async with wire(url) as connection:
        await connection.send(post(PATH, b'{"task":{"task_id":"u","status":"TASK_STATUS_SUCCEED"}}'))


async def refused(url: str) -> None:
    async with wire(url) as connection:
        for path in ("/webhooks/novita/wrong", "/nothing", "/v1/status"):
            await connection.send(post(path, b"{}"))
            assert (await connection.answer()).status >= 400


async def left_in_a_body(url: str) -> None:
    async with wire(url) as connection:
        await connection.send(post(PATH, b"{" * 100_000)[:-10])
        await asyncio.sleep(0.02)


async def left_in_a_head(url: str) -> None:
    async with wire(url) as connection:
        await connection.send(get("/", *fields(20_000))[:-2])
        await asyncio.sleep(0.02)


async def head_too_late(url: str) -> None:
    async with wire(url) as connection:
        await connection.send(get("/")[:-2])
        assert (await connection.answer()).status == 408
        await connection.rest()


async def head_too_large(url: str) -> None:
    async with wire(url) as connection:
        await connection.send(get("/", *fields(MAX_HEAD + 2000)))
        assert (await connection.answer()).status == 431
        await connection.rest()


async def no_http(url: str) -> None:
    assert (await ask(url, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")).status == 400


async def body_misframed(url: str) -> None:
    async with wire(url) as connection:
        await connection.send(b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % PATH.encode())
        await connection.send(b"zz\r\n")
        assert (await connection.answer()).status == 400


async def silent(url: str) -> None:
    async with wire(url) as connection:
        await connection.rest()


@pytest.mark.parametrize(
    "visit",
    [
        delivered,
        left_before_the_answer,
        refused,
        left_in_a_body,
        left_in_a_head,
        head_too_late,
        head_too_large,
        no_http,
        body_misframed,
        silent,
    ],
)
@pytest.mark.usefixtures("swift_parting")
async def test_a_closed_connection_leaves_nothing(
    visit: Callable[[str], Awaitable[None]], no_collector: None, tmp_path: Path
) -> None:
    """Connection and parser would hold each other until a full collection, which a busy relay seldom makes."""
    async with opened(tmp_path) as journal, receiving(journal, gate(TOKEN), limits=SHORT) as receiver:
        before = len(kept())
        await asyncio.gather(*(visit(receiver.url) for _ in range(5)))
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                while len(kept()) > before:
                    await asyncio.sleep(0.05)
        assert [type(each).__name__ for each in kept()[before:]] == []
