"""An answer past aiohttp's own responses: what ``tests/unit/edge/proxy/test_proxy.py`` does not see."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from relay.edge.http.raw_response import RawResponse
from tests.services.raw_http import get, post, wire
from tests.unit.edge.http.test_server import Noted, listening


async def test_a_bug_in_the_middle_of_an_answer_makes_no_second_one() -> None:
    """The client would read an error document as part of the body, or as the answer to its next request."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        outgoing = RawResponse(request)
        outgoing.begin(200, b"OK", [(b"Content-Length", b"9")])
        await outgoing.write(b"one")
        raise RuntimeError("a bug")

    async with listening(serve, signals=Noted()) as listener, wire(listener.url) as connection:
        await connection.send(get("/"))
        received = await connection.rest()
    assert received == b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none"


async def test_while_draining_it_says_that_it_closes_and_does() -> None:
    """A client would keep the connection of a relay that is going away."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        outgoing = RawResponse(request)
        outgoing.begin(299, b"Odd", [(b"Content-Length", b"0")])
        return await outgoing.finish()

    async with listening(serve) as listener, wire(listener.url) as connection:
        listener.server.draining = True
        await connection.send(post("/"))
        assert await connection.rest() == b"HTTP/1.1 299 Odd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def test_an_answer_that_promised_to_keep_its_connection_does_so_while_draining() -> None:
    """The client's next request, which may be on its way, would be lost."""
    begun = asyncio.Event()
    draining = asyncio.Event()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        outgoing = RawResponse(request)
        outgoing.begin(200, b"OK", [(b"Content-Length", b"0")])
        begun.set()
        await draining.wait()
        return await outgoing.finish()

    async with listening(serve) as listener, wire(listener.url) as connection:
        await connection.send(post("/"))
        await begun.wait()
        listener.server.draining = True
        draining.set()
        assert "connection" not in (await connection.answer()).headers
        await connection.send(post("/"))
        assert (await connection.answer()).headers["connection"] == "close"


async def test_a_client_that_takes_nothing_is_cut() -> None:
    """Its answer would be counted as delivered, and its connection be kept for a next request."""
    size, answered = 32 << 20, asyncio.get_running_loop().create_future()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        outgoing = RawResponse(request, send_timeout=0.1)
        outgoing.begin(200, b"OK", [(b"Content-Length", b"%d" % size)])
        there = await outgoing.write(b"x" * size)
        sent = outgoing.abort()
        answered.set_result((there, sent.status, sent.keep_alive))
        return sent

    async with listening(serve) as listener, wire(listener.url) as connection, asyncio.timeout(20):
        await connection.send(get("/"))
        assert await answered == (False, 200, False)


async def test_a_client_that_leaves_while_its_answer_waits_is_noticed() -> None:
    """What goes on without its client, as a submission does, would count an answer as one that arrived."""
    size, answered = 32 << 20, asyncio.get_running_loop().create_future()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        outgoing = RawResponse(request)
        outgoing.begin(200, b"OK", [(b"Content-Length", b"%d" % size)])
        outgoing.put(b"x" * size)
        try:
            answered.set_result(await outgoing.drained())
        except Exception as error:
            answered.set_result(error)
        return outgoing.abort()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        return await asyncio.shield(asyncio.create_task(answer(request)))

    async with listening(serve) as listener, asyncio.timeout(20):
        async with wire(listener.url) as connection:
            await connection.send(get("/"))
            await connection.reader.readuntil(b"\r\n\r\n")
            connection.writer.transport.abort()
        assert isinstance(await answered, ConnectionError)


async def test_a_client_that_takes_something_again_and_again_is_not_cut() -> None:
    """A download over a thin line would break off whenever it takes longer than a client may be stuck."""
    size, answered = 1 << 20, asyncio.get_running_loop().create_future()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        _small_buffer(request.transport, socket.SO_SNDBUF)
        outgoing = RawResponse(request, send_timeout=0.2)
        outgoing.begin(200, b"OK", [(b"Content-Length", b"%d" % size)])
        outgoing.put(b"x" * size)
        answered.set_result(await outgoing.drained())
        return outgoing.end()

    async with listening(serve) as listener, wire(listener.url) as connection:
        _small_buffer(connection.writer.transport, socket.SO_RCVBUF)
        await connection.send(get("/"))
        await connection.reader.readuntil(b"\r\n\r\n")
        got = 0
        while got < size and not (answered.done() and not answered.result()):
            assert got > size // 2 or not answered.done()  # it waits: the rest does not fit into the kernel
            got += len(await connection.reader.read(40_000))
            await asyncio.sleep(0.03)  # that is how thin it is: several times the time-out for all
        assert await answered


def _small_buffer(transport: asyncio.BaseTransport, which: int) -> None:
    """Else the kernel would take megabytes, and nobody would have to wait."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, which, 64 << 10)
