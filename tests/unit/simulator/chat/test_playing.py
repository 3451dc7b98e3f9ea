from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from relay.simulator.chat.delivery import Answer, End, Piece
from relay.simulator.options import Options
from relay.simulator.server import Simulator

URL = "/openai/v1/chat/completions"
PIECES = tuple(Piece(b"data: %d\n\n" % number) for number in range(4))


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Options()) as simulator:
        yield simulator


async def play(session: aiohttp.ClientSession, simulator: Simulator, answer: Answer) -> tuple[int, bytes]:
    headers = {"X-Simulate": f"script={simulator.scripts.register([answer])}"}
    async with session.post(simulator.url + URL, headers=headers) as response:
        return response.status, await response.read()


async def test_an_answer_is_sent_as_it_is_written(session: aiohttp.ClientSession, simulator: Simulator) -> None:
    """What a script says would not be what goes over the wire."""
    answer = Answer(202, (("X-A", "b"), ("Content-Type", "text/plain")), PIECES)
    headers = {"X-Simulate": f"script={simulator.scripts.register([answer])}"}
    async with session.post(simulator.url + URL, headers=headers) as response:
        assert (response.status, response.headers["X-A"], response.content_type) == (202, "b", "text/plain")
        assert await response.read() == b"".join(piece.data for piece in PIECES)
    [exchange] = simulator.exchanges
    assert (exchange.outcome, exchange.pieces, exchange.sent) == ("complete", 4, 36)


async def test_pauses_are_kept(session: aiohttp.ClientSession, simulator: Simulator) -> None:
    """A slow upstream would be a fast one."""
    started = time.perf_counter()
    await play(session, simulator, Answer(200, (), (Piece(b"a", 0.05),), delay=0.05))
    assert time.perf_counter() - started >= 0.1


@pytest.mark.parametrize("end", [End.CUT, End.RESET])
async def test_a_connection_breaks_after_what_was_sent(simulator: Simulator, end: End) -> None:
    """A client would see a clean end where the upstream died, or less than it had sent."""
    headers = f"X-Simulate: script={simulator.scripts.register([Answer(200, (), PIECES, end)])}"
    host, port = simulator.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {URL} HTTP/1.1\r\nHost: x\r\n{headers}\r\nContent-Length: 0\r\n\r\n".encode())
    seen, broken = b"", False
    async with asyncio.timeout(5):
        try:
            while data := await reader.read(1000):
                seen += data
        except ConnectionResetError:
            broken = True
    writer.close()
    assert b"data: 3\n\n" in seen
    assert b"\r\n0\r\n\r\n" not in seen
    assert broken is (end is End.RESET)
    assert [exchange.outcome for exchange in simulator.exchanges] == [end.value]


@pytest.mark.parametrize("end", [End.CUT, End.RESET])
async def test_a_connection_can_break_before_the_answer(
    session: aiohttp.ClientSession, simulator: Simulator, end: End
) -> None:
    """An upstream that takes a request and dies could not be simulated."""
    with pytest.raises(aiohttp.ClientError):
        await play(session, simulator, Answer(None, end=end))
    assert [exchange.outcome for exchange in simulator.exchanges] == [end.value]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, (), PIECES[:1], End.HANG),
        Answer(200, (), (*PIECES[:1], Piece(b"late", 60.0))),
        Answer(200, delay=60.0),
    ],
)
async def test_a_client_that_leaves_is_noticed_before_there_is_more_to_say(
    simulator: Simulator, answer: Answer
) -> None:
    """A proxy that keeps the upstream running after its client has gone would not be caught."""
    headers = f"X-Simulate: script={simulator.scripts.register([answer])}"
    host, port = simulator.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {URL} HTTP/1.1\r\nHost: x\r\n{headers}\r\nContent-Length: 0\r\n\r\n".encode())
    async with asyncio.timeout(30):  # half of what the answers wait
        while not any(exchange.body_sha256 for exchange in simulator.exchanges):
            await asyncio.sleep(0.001)
        writer.close()
        while simulator.exchanges.open():
            await asyncio.sleep(0.001)
    [exchange] = simulator.exchanges
    assert exchange.outcome == "client_gone"


async def test_streams_take_turns(session: aiohttp.ClientSession, simulator: Simulator) -> None:
    """One long stream would hold up all the others."""
    script = simulator.scripts.register([Answer(200, (), (Piece(b"data: x\n\n"),) * 20_000), Answer(200)])
    headers = {"X-Simulate": f"script={script}"}
    async with session.post(simulator.url + URL, headers=headers) as long:
        await long.content.readany()
        async with session.post(simulator.url + URL, headers=headers):
            assert len(simulator.exchanges.open()) == 1
