"""The listener: its limits, and how it ends. Its answers to what fails: test_server_failures.py."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from relay.core.errors import RelayError
from relay.edge.http.listener import Listener
from relay.edge.http.server import Connection, Handler, Limits, Server
from tests.services.raw_http import Wire, ask, get, post, wire

SHORT = Limits(header_timeout=0.5)


class Noted:
    """What a listener reported."""

    def __init__(self) -> None:
        self.failed: list[tuple[str, BaseException]] = []
        self.malformed: list[tuple[str, str]] = []

    def request_failed(self, route: str, error: BaseException) -> None:
        self.failed.append((route, error))

    def request_malformed(self, peer: str, kind: str) -> None:
        self.malformed.append((peer, kind))


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.read())


@asynccontextmanager
async def listening(
    handler: Handler = echo, limits: Limits | None = None, signals: Noted | None = None
) -> AsyncIterator[Listener]:
    listener = Listener(handler, host="127.0.0.1", port=0, limits=limits or Limits(), signals=signals or Noted())
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop(1.0)


async def until(condition: Callable[[], bool]) -> None:
    """Polls for what no event signals."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_options_reach_aiohttp() -> None:
    """One misspelt option would drop all of them in silence: hour-long idle connections, an access log with tokens."""
    async with listening(limits=Limits(header_timeout=7.0, keepalive_timeout=33.0, max_connections=9)) as listener:
        connection = listener.server()
        assert isinstance(connection, Connection)
        assert connection.keepalive_timeout == 33.0
        assert connection._lingering_time == 2.0
        assert connection.access_logger is None
        assert connection._header_timeout == 7.0
        assert (connection.max_line_size, connection.max_field_size, connection.max_headers) == (8190, 8190, 128)
        assert listener.server.handler_cancellation is True
        assert listener.server._max_connections == 9


async def test_a_misspelt_option_is_an_error() -> None:
    """aiohttp would warn, and then run without any of the limits."""
    server = Server(
        echo, options={"header_timeout": 1.0, "signals": Noted(), "keepalive_timeuot": 1}, max_connections=1
    )
    with pytest.raises(TypeError, match="keepalive_timeuot"):
        server()


async def test_bodies_are_not_decompressed() -> None:
    """Signatures would be checked over other bytes than were signed, and a bomb would unfold."""
    async with listening() as listener:
        body = b"\x1f\x8b not really gzip"
        reply = await ask(listener.url, post("/", body, "Content-Encoding: gzip"))
        assert (reply.status, reply.body) == (200, body)


async def test_a_taken_address_is_reported_with_what_to_do() -> None:
    """The operator would see a traceback instead of the setting to change."""
    async with listening() as first:
        port = int(first.url.rpartition(":")[2])
        second = Listener(echo, host="127.0.0.1", port=port, limits=Limits(), signals=Noted())
        with pytest.raises(RelayError) as refused:
            await second.start()
        assert refused.value.code == "address_unavailable"
        assert str(port) in refused.value.message


async def test_the_url_of_an_ipv6_listener_has_brackets() -> None:
    """The URL that is printed at start could not be opened."""
    if not socket.has_ipv6:
        return
    listener = Listener(echo, host="::1", port=0, limits=Limits(), signals=Noted())
    await listener.start()
    assert listener.url.startswith("http://[::1]:")
    assert (await ask(listener.url, post("/", b"x"))).body == b"x"
    await listener.stop(1.0)


# -- time ----------------------------------------------------------------------------------------------------------


async def test_half_a_head_is_cut_in_time() -> None:
    """Anybody could hold connections open forever by never ending a request."""
    async with listening(limits=SHORT) as listener, wire(listener.url) as connection:
        await connection.send(b"POST / HTTP/1.1\r\nHost: x\r\n")
        reply = await connection.answer()
        assert (reply.status, reply.code, reply.headers["connection"]) == (408, "header_timeout", "close")
        assert await connection.rest() == b""


async def test_a_trickle_of_head_bytes_wins_no_time() -> None:
    """Slow loris: each byte would start the time again."""
    async with listening(limits=SHORT) as listener, wire(listener.url) as connection:
        reply: asyncio.Task[bytes] = asyncio.create_task(connection.rest())
        for byte in post("/", b"x" * 100, "X-Filler: " + "y" * 2000):
            if reply.done():
                break
            connection.writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        assert b"408" in await reply  # with time for each byte, the request would become whole, and be answered


async def test_a_connection_that_says_nothing_is_closed() -> None:
    """Silent connections would use up the limit."""
    async with listening(limits=SHORT) as listener, wire(listener.url) as connection:
        assert await connection.rest() == b""


async def test_half_a_second_head_is_cut_too() -> None:
    """The time for the head would hold for the first request only."""
    async with listening(limits=SHORT) as listener, wire(listener.url) as connection:
        await connection.send(post("/", b"one"))
        assert (await connection.answer()).body == b"one"
        await connection.send(b"POST / HT")
        assert (await connection.answer()).code == "header_timeout"


async def test_a_second_request_may_come_later_than_the_time_for_a_head() -> None:
    """A sender that keeps its connection would be cut between two deliveries."""
    async with listening(limits=Limits(header_timeout=0.5)) as listener, wire(listener.url) as connection:
        for body in (b"one", b"two"):
            await connection.send(post("/", body))
            assert (await connection.answer()).body == body
            await asyncio.sleep(0.75)


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    """Connections would pile up for an hour, as aiohttp's default has it."""
    async with listening(limits=Limits(keepalive_timeout=0.3)) as listener, wire(listener.url) as connection:
        await connection.send(post("/", b"one"))
        await connection.answer()
        assert await connection.rest() == b""


# -- numbers -------------------------------------------------------------------------------------------------------


async def test_connections_over_the_limit_are_refused_with_the_reason() -> None:
    """They would be served until memory ends, or reset without a reason to read."""
    handler, _, may = gated()
    async with listening(handler, limits=Limits(max_connections=2)) as listener:
        async with wire(listener.url) as first, wire(listener.url) as second:
            for connection in (first, second):
                await connection.send(post("/", b"in"))
            await until(lambda: all(not each.new for each in listener.server.connections))
            async with wire(listener.url) as third:
                await third.send(post("/", b"x" * 60_000))
                reply = await third.answer()
                assert (reply.status, reply.code) == (503, "overloaded")
                assert reply.headers["retry-after"] == "5"
                assert await third.rest() == b"", "closed, not reset"
            may.set()
            assert (await first.answer()).body == b"in"
        await until(lambda: not listener.server.connections)
        assert (await ask(listener.url, post("/", b"again"))).status == 200


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n", get("/")], ids=["nothing", "half a head", "a request"])
async def test_a_connection_on_which_nothing_is_asked_makes_room(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger with as many connections as there may be would keep everybody out, the probes too."""
    monkeypatch.setattr("relay.edge.http.server.GRACE", 0.05)
    async with (
        listening(limits=Limits(max_connections=2)) as listener,
        wire(listener.url) as first,
        wire(listener.url) as second,
    ):
        for connection in (first, second):
            await connection.send(said)
        await until(lambda: len(listener.server.connections) == 2)
        await asyncio.sleep(0.1)
        assert (await ask(listener.url, post("/", b"new"))).body == b"new"
        assert b"503" not in await first.rest(), "the oldest"
        await second.send(post("/", b"old") if said != b"GET / HTTP/1.1\r\n" else b"Host: a\r\n\r\n")
        if said.endswith(b"\r\n\r\n"):
            await second.answer()
        assert (await second.answer()).status == 200


async def test_far_over_the_limit_connections_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait to read their refusal would be no limit at all."""
    monkeypatch.setattr("relay.edge.http.server._PARTING_CONNECTIONS", 1)
    monkeypatch.setattr("relay.edge.http.server.GRACE", 1000.0)
    limits = Limits(max_connections=1)
    async with listening(limits=limits) as listener, wire(listener.url) as first, wire(listener.url) as second:
        assert (await second.answer()).status == 503
        async with wire(listener.url) as third:
            assert await third.rest() == b""
        await first.send(post("/", b"in"))
        assert (await first.answer()).status == 200


# -- the end -------------------------------------------------------------------------------------------------------


def gated() -> tuple[Handler, asyncio.Event, asyncio.Event]:
    """A handler that answers when it may; whether one is inside, and the permission."""
    entered, may = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        entered.set()
        await may.wait()
        return web.Response(body=await request.read())

    return handler, entered, may


async def test_requests_under_way_are_answered_before_the_end() -> None:
    """A restart would break deliveries that had been taken."""
    handler, entered, may = gated()
    async with listening(handler) as listener, wire(listener.url) as connection:
        await connection.send(post("/", b"whole"))
        await entered.wait()
        stopping = asyncio.create_task(listener.stop(100.0))
        await asyncio.sleep(0.1)
        assert not stopping.done()
        may.set()
        assert (await connection.answer()).body == b"whole"
        await asyncio.wait_for(stopping, 20)


async def test_a_body_that_is_still_arriving_is_read_to_its_end() -> None:
    """aiohttp's own shutdown stops reading first: the sender would wait for an answer that cannot come."""
    entered = asyncio.Event()

    async def reading(request: web.BaseRequest) -> web.StreamResponse:
        entered.set()
        return web.Response(body=await request.read())

    async with listening(reading) as listener, wire(listener.url) as connection:
        whole = post("/", b"0123456789")
        await connection.send(whole[:-5])
        await entered.wait()
        stopping = asyncio.create_task(listener.stop(100.0))
        await asyncio.sleep(0.1)
        await connection.send(whole[-5:])
        assert (await connection.answer()).body == b"0123456789"
        await asyncio.wait_for(stopping, 20)


async def test_idle_connections_do_not_hold_up_the_end() -> None:
    """Each restart would wait for the whole drain time."""
    async with listening() as listener, wire(listener.url) as connection:
        await connection.send(post("/", b"x"))
        await connection.answer()
        async with asyncio.timeout(20):  # this peer closes only after relay
            await listener.stop(100.0)
        assert await connection.rest() == b""


async def test_a_connection_made_just_before_the_end_may_say_what_it_came_for() -> None:
    """A sender that had connected would be cut while its request is on the way."""
    async with listening() as listener, wire(listener.url) as connection:
        stopping = asyncio.create_task(listener.stop(100.0))
        await asyncio.sleep(0.1)
        await connection.send(post("/", b"just in time"))
        assert (await connection.answer()).body == b"just in time"
        await asyncio.wait_for(stopping, 20)


async def test_a_new_connection_that_stays_silent_is_not_waited_for() -> None:
    """Connections that somebody opened in advance would hold up each restart."""
    async with listening() as listener, wire(listener.url) as connection:
        async with asyncio.timeout(20):
            await listener.stop(100.0)
        assert await connection.rest() == b""


async def test_what_never_ends_is_cut_at_the_deadline() -> None:
    """One stuck request would keep the process from ending."""
    handler, entered, _ = gated()
    async with listening(handler) as listener, wire(listener.url) as connection:
        await connection.send(post("/", b"x"))
        await entered.wait()
        async with asyncio.timeout(20):
            await listener.stop(0.2)
        assert await connection.rest() == b""


async def test_while_draining_it_listens_until_what_was_under_way_has_ended() -> None:
    """One long request would have all others refused until it has ended."""
    handler, entered, may = gated()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        return await (handler if request.path == "/long" else echo)(request)

    async with listening(serve) as listener, wire(listener.url) as long, wire(listener.url) as held:
        await held.send(post("/", b"held"))
        await held.answer()
        await long.send(post("/long", b"long"))
        await entered.wait()
        draining = asyncio.create_task(listener.drain(100.0, last_call=0.0))
        await asyncio.sleep(0.1)  # the last call is over
        late = await ask(listener.url, post("/", b"late"))
        assert (late.body, late.headers["connection"]) == (b"late", "close")
        await held.send(post("/", b"held still"))
        assert (await held.answer()).body == b"held still"
        assert not draining.done()
        may.set()
        assert (await long.answer()).headers["connection"] == "close"
        await asyncio.wait_for(draining, 20)


async def test_a_drain_waits_for_what_is_under_way_and_for_nothing_else() -> None:
    """A restart would break what had been taken, or wait for connections on which nothing is asked."""
    handler, entered, may = gated()
    limits = Limits(header_timeout=60.0)  # who says nothing stays
    async with listening(handler, limits) as listener, wire(listener.url) as long, wire(listener.url):
        await long.send(post("/", b"long"))
        await entered.wait()
        draining = asyncio.create_task(listener.drain(60.0, last_call=0.0))
        done, _ = await asyncio.wait((draining,), timeout=0.2)
        assert not done
        may.set()
        assert (await long.answer()).body == b"long"
        await asyncio.wait_for(draining, 20)


async def test_during_the_last_call_those_who_are_connected_are_served() -> None:
    """A balancer that has not heard yet would have its requests refused."""
    async with listening() as listener, wire(listener.url) as held:
        await held.send(post("/", b"held"))
        await held.answer()
        draining = asyncio.create_task(listener.drain(100.0, last_call=90.0))
        await asyncio.sleep(0.1)
        assert not draining.done()
        await held.send(post("/", b"held still"))
        assert (await held.answer()).headers["connection"] == "close"
        await asyncio.wait_for(draining, 20)  # nobody is connected


async def test_a_drain_does_not_wait_for_what_never_ends() -> None:
    """One stuck request would keep the process from ending."""
    handler, entered, _ = gated()
    async with listening(handler) as listener, wire(listener.url) as connection:
        await connection.send(post("/", b"x"))
        await entered.wait()
        async with asyncio.timeout(20):
            await listener.drain(0.2, last_call=0.1)


async def test_connections_that_wait_in_the_kernel_are_not_reset() -> None:
    """Closing the socket resets what has connected and was not accepted yet: requests lost at every restart."""
    async with listening() as listener:
        port = int(listener.url.rpartition(":")[2])
        clients = [_connected(port) for _ in range(50)]
        await listener.stop_listening()
        replies = [await _echoed(client, b"%d" % n) for n, client in enumerate(clients)]
        assert replies == [b"%d" % n for n in range(50)]


def _connected(port: int) -> socket.socket:
    """Connects without a turn of the loop: the kernel completes the handshake by itself."""
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    client.setblocking(False)
    return client


async def _echoed(client: socket.socket, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(sock=client)
    connection = Wire(reader, writer)
    await connection.send(post("/", body))
    try:
        return (await connection.answer()).body
    finally:
        writer.close()
