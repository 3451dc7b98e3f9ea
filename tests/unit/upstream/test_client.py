"""Exchanges with an upstream that does whatever it likes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest

from relay.settings.model import UpstreamSettings
from relay.upstream import Upstream, UpstreamReset, UpstreamTimeout, UpstreamUnreachable, trust
from tests.services.scripted_upstream import Call, Script, ScriptedUpstream, answering, chunks, ok, scripted

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
QUICK = UpstreamSettings(connect_timeout=2.0, first_byte_timeout=0.2, idle_timeout=0.2)


@asynccontextmanager
async def between(
    script: Script, timeouts: UpstreamSettings | None = None
) -> AsyncIterator[tuple[ScriptedUpstream, Upstream]]:
    async with scripted(script) as server:
        upstream = Upstream((timeouts or UpstreamSettings()).model_copy(update={"base_url": server.url}))
        try:
            yield server, upstream
        finally:
            await upstream.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_request_arrives_as_it_was_given() -> None:
    """The upstream would see another path, other headers, or a body that was not sent."""
    headers = [(b"X-b", b"2"), (b"x-A", b"\xe9"), (b"X-b", b"3")]
    async with (
        between(answering(ok())) as (server, upstream),
        upstream.exchange("POST", "/v3/a%2Fb//c?q=%20+&q", headers, b"body") as answer,
    ):
        assert await answer.read(100) == b"{}"
        [call] = server.calls
    assert call.line == "POST /v3/a%2Fb//c?q=%20+&q HTTP/1.1"
    assert call.body == b"body"
    own = {b"host", b"content-length"}
    assert [field for field in call.fields if field[0].lower() not in own] == headers
    assert call.header("host") == server.url.removeprefix("http://")


async def test_a_base_with_a_path_stands_before_the_target() -> None:
    """An upstream that is mounted below a path could not be reached."""
    async with scripted(answering(ok())) as server:
        upstream = Upstream(UpstreamSettings(base_url=server.url + "/mounted"))
        async with upstream.exchange("GET", "/v3/x"):
            pass
        await upstream.close()
        assert server.calls[0].line == "GET /mounted/v3/x HTTP/1.1"


async def test_a_body_of_unknown_length_streams() -> None:
    """Large uploads would have to fit into memory."""

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async with (
        between(answering(ok())) as (server, upstream),
        upstream.exchange("POST", "/", [], body()) as answer,
    ):
        await answer.read(100)
        assert server.calls[0].body == b"onetwo"
        assert server.calls[0].header("transfer-encoding") == "chunked"


async def test_an_answer_is_handed_over_as_it_came() -> None:
    """Clients would lose the upstream's own status, spelling or repetitions."""
    sent = ok(b"nope", "X-b: 2", "x-A: 1", "Content-Encoding: gzip", "x-A: 3", status="429 Slow Down")
    async with between(answering(sent)) as (_, upstream), upstream.exchange("GET", "/") as answer:
        assert (answer.status, answer.reason) == (429, b"Slow Down")
        assert [name for name, _ in answer.raw_headers][:4] == [b"X-b", b"x-A", b"Content-Encoding", b"x-A"]
        assert answer.headers.getall("X-A") == ["1", "3"]
        assert await answer.read(100) == b"nope"


async def test_a_redirection_is_an_answer_like_any_other() -> None:
    """The relay would send the upstream's key wherever the upstream points."""
    async with (
        between(answering(ok(b"", "Location: http://127.0.0.1:1/", status="302 Found"))) as (server, upstream),
        upstream.exchange("GET", "/") as answer,
    ):
        assert answer.status == 302
        assert len(server.calls) == 1


async def test_pieces_come_as_they_are_sent() -> None:
    """A stream would be held back until it is whole."""
    more = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks(b"one", end=False))
        await more.wait()
        await call.send(chunks(b"two"))

    async with between(script) as (_, upstream), upstream.exchange("GET", "/") as answer:
        pieces = answer.pieces()
        assert await anext(pieces) == b"one"
        more.set()
        assert [piece async for piece in pieces] == [b"two"]


async def test_an_upstream_that_nobody_listens_for_is_unreachable_and_nothing_was_sent() -> None:
    """What could safely be repeated would not be."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        upstream = Upstream(UpstreamSettings(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}"))
        with pytest.raises(UpstreamUnreachable) as caught:
            async with upstream.exchange("POST", "/", [], b"x"):
                pass
        await upstream.close()
    assert not caught.value.sent
    assert caught.value.retriable


async def test_it_knows_whether_the_upstream_is_there() -> None:
    """An operator would not see that the upstream is away, or that it is back."""

    class Noted:
        def __init__(self) -> None:
            self.reached: list[bool] = []

        def upstream_reached(self, reached: bool) -> None:
            self.reached.append(reached)

        def connection_failed(self, *_: object) -> None:
            self.reached.append(False)

    noted = Noted()
    async with scripted(answering(ok())) as server:
        upstream = Upstream(UpstreamSettings(base_url=server.url), noted)
        (await upstream.connect()).cancel()
        assert noted.reached == [True], "as soon as it is there, however long it thinks about an answer"
        for reached in (3, 4):  # again for the new connection
            async with upstream.exchange("GET", "/") as answer:
                await answer.read(10)
            assert noted.reached == [True] * reached
        await upstream.close()
    upstream = Upstream(UpstreamSettings(base_url=server.url), noted)
    with pytest.raises(UpstreamUnreachable):
        async with upstream.exchange("GET", "/"):
            pass
    assert noted.reached[-1] is False
    await upstream.close()


async def test_silence_after_a_request_ends_in_time() -> None:
    """A client would wait for an upstream that has hung, forever."""

    async def script(call: Call) -> None:
        await call.until_gone()

    async with between(script, QUICK) as (server, upstream):
        with pytest.raises(UpstreamTimeout) as caught:
            async with upstream.exchange("POST", "/", [], b"x"):
                pass
        assert caught.value.sent
        assert not caught.value.retriable
        await until(server.calls[0].gone.is_set)


async def test_silence_in_an_answer_ends_in_time() -> None:
    """A stream whose upstream has hung would stay open forever."""

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none")
        await call.until_gone()

    async with between(script, QUICK) as (server, upstream):
        with pytest.raises(UpstreamTimeout):
            async with upstream.exchange("GET", "/") as answer:
                await answer.read(100)
        await until(server.calls[0].gone.is_set)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        pytest.param(b"", "before an answer", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", "before an answer", id="half a head"),
        pytest.param(b"rubbish\r\n\r\n", "status line", id="no HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "in the middle", id="no body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none", "in the middle", id="less than its length"),
        pytest.param(CHUNKED + b"5\r\none", "in the middle", id="half a chunk"),
        pytest.param(CHUNKED + b"3\r\none\r\n", "in the middle", id="no last chunk"),
        pytest.param(CHUNKED + b"3\r\none\r\n0\r\n", "in the middle", id="half a last chunk"),
    ],
)
async def test_an_answer_that_is_not_whole_is_not_taken_for_a_whole_one(sent: bytes, why: str) -> None:
    """A truncated answer would be taken for the whole one."""

    async def script(call: Call) -> None:
        await call.send(sent)
        call.writer.close()

    async with between(script) as (_, upstream):
        with pytest.raises(UpstreamReset, match=why) as caught:
            async with upstream.exchange("POST", "/", [], b"x") as answer:
                await answer.read(100)
        assert caught.value.sent


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none", id="with a length"),
        pytest.param(CHUNKED + b"3\r\none\r\n", id="in chunks"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\none", id="to the end of the connection"),
    ],
)
async def test_a_reset_is_the_end_of_no_answer(sent: bytes) -> None:
    """Half an answer would be taken for the whole one where the upstream crashes."""
    begun = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(sent)
        await begun.wait()
        call.reset()

    async with between(script) as (_, upstream):
        with pytest.raises(UpstreamReset, match="in the middle"):
            async with upstream.exchange("GET", "/") as answer:
                pieces = answer.pieces()
                assert await anext(pieces) == b"one"
                begun.set()
                await anext(pieces)


async def test_a_large_answer_does_not_fill_the_memory() -> None:
    """A caller that reads a whole answer could be made to fill its memory."""
    async with between(answering(ok(b"x" * 101))) as (_, upstream):
        with pytest.raises(UpstreamReset):
            async with upstream.exchange("GET", "/") as answer:
                await answer.read(100)


async def test_leaving_early_closes_the_connection() -> None:
    """The upstream would go on with what nobody reads, and bill it."""

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks(b"one", end=False))
        await call.until_gone()

    async with between(script) as (server, upstream):
        async with upstream.exchange("GET", "/") as answer:
            assert await anext(answer.pieces()) == b"one"
        await until(server.calls[0].gone.is_set)


async def test_the_first_connections_read_the_authorities_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of first chats would read them each, and somebody who left would take them from the others."""
    reading, release, read = threading.Event(), threading.Event(), []

    def trusting(cafile: Path | None) -> ssl.SSLContext:
        read.append(cafile)
        reading.set()
        release.wait(30)
        return ssl.create_default_context()

    monkeypatch.setattr(trust, "_trusting", trusting)
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        upstream = Upstream(UpstreamSettings(base_url=f"https://127.0.0.1:{bound.getsockname()[1]}"))
        leaving, *staying = (asyncio.create_task(upstream.connect()) for _ in range(4))
        await asyncio.to_thread(reading.wait, 30)
        leaving.cancel()
        await asyncio.wait((leaving,))
        release.set()
        ends = await asyncio.gather(*staying, return_exceptions=True)
    assert [type(end) for end in ends] == [UpstreamUnreachable] * 3
    assert read == [None]


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1)])
async def test_a_connection_that_the_upstream_closes_meanwhile_repeats_nothing_that_costs(
    method: str, times: int
) -> None:
    """A task or a chat would be paid for twice; or a poll would fail each time the upstream closes what was idle."""

    async def script(call: Call) -> None:
        if call.line.endswith("/first HTTP/1.1") or len(server.calls) > 2:
            await call.send(ok())
        else:
            call.writer.close()  # the request was on its way, as far as relay knows

    async with between(script) as (server, upstream):
        async with upstream.exchange("GET", "/first") as answer:
            await answer.read(10)
        with nullcontext() if times == 2 else pytest.raises(UpstreamReset) as caught:
            async with upstream.exchange(method, "/second", [], b"") as answer:
                assert answer.status == 200
        assert caught is None or caught.value.sent
        assert len(server.calls) == 1 + times


async def test_nothing_is_sent_on_a_connection_that_is_known_to_be_closed() -> None:
    """A chat would fail although nothing of it was sent, since the upstream had closed what was idle."""

    async def script(call: Call) -> None:
        await call.send(ok())
        call.writer.close()

    async with between(script) as (server, upstream):
        for number in (1, 2):
            async with upstream.exchange("POST", "/", [], b"x") as answer:
                assert answer.status == 200
            await until(lambda: upstream.idle() is None)
            assert server.connections == number
