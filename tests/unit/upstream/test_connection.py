"""Connections to the upstream: used again, given up, slowed down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.core.errors import RelayError
from relay.settings.model import UpstreamSettings
from relay.upstream import Upstream, UpstreamError, UpstreamReset
from relay.upstream.client import _HELD
from relay.upstream.connection import Connection
from relay.upstream.wire import Head
from tests.services.scripted_upstream import Call, answering, chunks, ok, scripted
from tests.unit.upstream.test_client import between, until

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("answer", [ok(b"{}"), HEAD + chunks(b"one", b"two"), ok(b"", status="204 No Content")])
async def test_a_connection_is_used_again(answer: bytes) -> None:
    """Each request would pay for a connection and its TLS: more than the relay itself adds."""
    async with between(answering(answer.replace(b"Content-Length: 0\r\n", b""))) as (server, upstream):
        for _ in range(3):
            async with upstream.exchange("POST", "/", [], b"x") as got:
                await got.read(100)
        assert server.connections == 1
        assert len(server.calls) == 3


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"{}", "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        ok(b"{}") + b"HTTP/1.1 200 OK\r\n",
        HEAD + chunks(b"{}") + b"x",
    ],
)
async def test_a_connection_that_ends_or_is_out_of_step_is_not_used_again(answer: bytes) -> None:
    """A client would get the rest of another's answer, or an error instead of its own."""
    async with between(answering(answer)) as (server, upstream):
        for _ in range(2):
            async with upstream.exchange("POST", "/", [], b"x") as got:
                assert await got.read(100) == b"{}"
        assert server.connections == 2


async def test_what_comes_unasked_ends_an_idle_connection() -> None:
    """The next client would get it as the answer to its request."""
    more = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(ok(b"{}"))
        await more.wait()
        await call.send(ok(b"unasked"))
        await call.until_gone()

    async with between(script) as (server, upstream):
        async with upstream.exchange("GET", "/"):
            pass
        more.set()
        await until(server.calls[0].gone.is_set)
        assert upstream.idle() is None


async def test_an_idle_connection_is_closed_in_time() -> None:
    """A request would be sent just when the upstream closes it."""
    async with between(answering(ok()), UpstreamSettings(keepalive_timeout=0.05)) as (server, upstream):
        async with upstream.exchange("GET", "/") as answer:
            await answer.read(10)
        assert len(upstream._idle) == 1
        await until(lambda: not upstream._idle)
        async with upstream.exchange("GET", "/") as answer:
            await answer.read(10)
        assert server.connections == 2


async def test_nothing_is_kept_of_a_connection_that_is_gone() -> None:
    """Memory would grow with each client that leaves and each upstream that closes."""

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(b"one", end=False))
        await call.until_gone()

    async with between(script) as (_, upstream):
        for _ in range(3):
            async with upstream.exchange("POST", "/", [], b"x") as answer:
                assert await anext(answer.pieces()) == b"one"
                assert len(upstream._busy) == 1
            await until(lambda: not upstream._busy)
        assert not upstream._idle


async def test_a_connection_that_closes_under_a_request_costs_nothing_that_can_be_repeated() -> None:
    """Polls would fail now and then, without a fault of anybody's; and nothing that costs may be sent twice."""

    async def script(call: Call) -> None:
        if len(server.calls) % 2:
            await call.send(ok(b"{}"))
        else:
            call.reset()

    async with between(script) as (server, upstream):
        for _ in range(2):
            async with upstream.exchange("GET", "/") as answer:
                assert await answer.read(10) == b"{}"
        assert len(server.calls) == 3
        with pytest.raises(UpstreamReset):
            async with upstream.exchange("POST", "/", [], b"x"):
                pass
        assert len(server.calls) == 4


async def test_interim_answers_end_here() -> None:
    """A client would take ``100 Continue`` for the answer."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with between(answering(interim + ok(b"{}"))) as (_, upstream), upstream.exchange("GET", "/") as answer:
        assert (answer.status, await answer.read(10)) == (200, b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    ],
)
async def test_an_oversized_or_ambiguous_answer_is_refused(answer: bytes) -> None:
    """Memory would fill with a head, or a body be read in two ways."""
    async with between(answering(answer)) as (_, upstream):
        with pytest.raises(UpstreamReset):
            async with upstream.exchange("GET", "/"):
                pass


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    """An old server's answer would be taken for broken off."""

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.0 200 OK\r\n\r\none")
        call.writer.close()

    async with between(script) as (_, upstream), upstream.exchange("GET", "/") as answer:
        assert await answer.read(10) == b"one"


async def test_a_reader_that_waits_makes_the_upstream_wait() -> None:
    """A large file would have to fit into memory."""
    sent = 0

    async def script(call: Call) -> None:
        nonlocal sent
        await call.send(HEAD)
        for _ in range(400):
            await call.send(chunks(b"x" * 65536, end=False))
            sent += 1
        await call.send(chunks())

    async with between(script) as (_, upstream), upstream.exchange("GET", "/") as answer:
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 300
        assert len(await answer.read(400 * 65536)) == 400 * 65536


async def test_a_connection_that_was_made_to_wait_reads_the_next_answer() -> None:
    """The answer after a large one that was read slowly would never come."""
    body = b"x" * (_HELD + 1)  # the last byte makes the upstream wait
    async with between(answering(ok(body))) as (server, upstream), asyncio.timeout(10):
        for _ in range(2):
            async with upstream.exchange("POST", "/", [], b"x") as answer:
                await until(lambda: len(upstream._idle) == 1)
                assert await answer.read(len(body)) == body
        assert server.connections == 1


@pytest.mark.parametrize("declared", [[], [(b"Content-Length", b"6")]])
async def test_an_upload_goes_in_chunks_or_as_long_as_it_says(declared: list[tuple[bytes, bytes]]) -> None:
    """An upstream that wants to know the length of an upload would refuse it."""
    async with between(answering(ok())) as (server, upstream):
        async with upstream.exchange("POST", "/", declared, pieces(b"one", b"", b"two")) as answer:
            await answer.read(10)
        [call] = server.calls
    assert call.body == b"onetwo"
    assert call.header("content-length") == ("6" if declared else None)


async def test_an_upload_that_breaks_off_is_not_taken_for_whole() -> None:
    """Half a file would be stored as the whole of it."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("the client has gone")

    async with between(answering(ok())) as (server, upstream):
        with pytest.raises(RuntimeError):
            async with upstream.exchange("POST", "/", [], broken()):
                pass
        with pytest.raises(ConnectionAbortedError):
            async with upstream.exchange("POST", "/", [(b"Content-Length", b"9")], pieces(b"one")):
                pass
        assert [call.body for call in server.calls] == [b"", b""]


async def test_an_answer_in_the_middle_of_an_upload_counts() -> None:
    """A client that uploads too much would not hear why."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async def script(call: Call) -> None:
        await call.send(ok(b"too much", status="413 Too Large"))
        await call.until_gone()

    async with scripted(script, early=True) as server:
        upstream = Upstream(UpstreamSettings(base_url=server.url))
        async with upstream.exchange("POST", "/", [], endless()) as answer:
            assert answer.status == 413
            assert await answer.read(100) == b"too much"
        await until(server.calls[0].gone.is_set)
        assert upstream.idle() is None, "half a request is on it: the next one would be read as the rest of its body"
        await upstream.close()


async def test_a_request_that_http_has_no_form_for_is_refused_and_harms_nobody() -> None:
    """A line break in a path would put a request of the client's behind the relay's key."""
    async with between(answering(ok())) as (server, upstream):
        for _ in range(2):
            with pytest.raises(RelayError) as caught:
                async with upstream.exchange("GET", "/\r\nX: y"):
                    pass
            assert caught.value.code == "bad_request"
        async with upstream.exchange("GET", "/") as answer:
            await answer.read(10)
        assert server.connections == 1


class Transport:
    """Stands for a connection's transport: open until it is aborted."""

    def __init__(self) -> None:
        self.aborted = False

    def get_extra_info(self, _: str) -> None:
        """In clear text."""

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: bytes) -> None: ...


class NotingReceiver:
    """A receiver that notes what it gets, and can give up at the head."""

    def __init__(self, connection: Connection, *, gives_up: bool = False) -> None:
        self._connection, self._gives_up = connection, gives_up
        self.heard: list[object] = []

    def answered(self, head: Head) -> None:
        self.heard.append(head.status)
        if self._gives_up:
            self._connection.cancel()

    def received(self, piece: bytes) -> None:
        self.heard.append(piece)

    def ended(self) -> None:
        self.heard.append("ended")

    def failed(self, error: UpstreamError) -> None:
        self.heard.append(error.code)


def asked(*, gives_up: bool = False) -> tuple[Connection, NotingReceiver]:
    """A connection on which a request has been sent."""
    connection = Connection(asyncio.get_running_loop(), lambda _: None)
    connection.connection_made(Transport())  # type: ignore[arg-type]
    receiver = NotingReceiver(connection, gives_up=gives_up)
    connection.send("GET", b"GET / HTTP/1.1\r\n\r\n", b"", receiver, 5.0, 5.0)
    return connection, receiver


async def test_an_answer_may_be_cut_anywhere_by_the_network() -> None:
    """An answer whose head comes in two reads would be lost, and with it a chat or a task that is paid for."""
    answer = ok(b"content")
    for cut in range(1, len(answer)):
        connection, receiver = asked()
        connection.data_received(answer[:cut])
        connection.data_received(answer[cut:])
        status, *parts, end = receiver.heard
        assert (status, b"".join(parts), end) == (200, b"content", "ended"), cut  # type: ignore[arg-type]


async def test_who_gives_up_at_the_head_hears_no_more() -> None:
    """What a 503 says would get into the answer to the next try."""
    connection, receiver = asked(gives_up=True)
    connection.data_received(ok(b"busy", status="503 Service Unavailable"))
    assert receiver.heard == [503]
