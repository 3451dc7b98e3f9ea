"""Chats through a relay as users run it: killed, stopped and started again."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.services.raw_http import Wire, wire
from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import Call, chunks, scripted
from tests.unit.edge.chat.chatting import HEAD, TERMINAL, asking, frame

RELAY = str(Path(sys.executable).parent / "relay")
STREAMS = 20


async def hang(call: Call) -> None:
    """Begins a stream and says no more."""
    await call.send(HEAD, chunks(frame("Hel"), frame("lo"), end=False))
    await call.until_gone()


async def events(relay: RelayProcess) -> list[dict[str, Any]]:
    """All events about chats, as a consumer reads them."""
    found: list[dict[str, Any]] = []
    after = 0
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{relay.url}/v1/events?after={after}&limit=1000") as response:
                page = await response.json()
            if not page["events"]:
                return found
            found += [each["event"] for each in page["events"]]
            after = page["next"]


def endings(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The outcome and reason of each stream that began, by its id."""
    ended: dict[str, list[str]] = {event["subject"]: [] for event in found if event["type"] == "relay.chat.started"}
    for event in found:
        if event["type"] in TERMINAL:
            ended[event["subject"]].append(f"{event['data']['outcome']} {event['data']['reason']}")
    return ended


async def under_way(stack: AsyncExitStack, url: str, count: int) -> list[Wire]:
    """Streams that have begun."""
    clients = []
    for _ in range(count):
        client = await stack.enter_async_context(wire(url))
        await client.send(asking())
        await client.reader.readuntil(b'"lo"')
        clients.append(client)
    return clients


async def until_recorded(relay: RelayProcess, number: int) -> None:
    async with asyncio.timeout(10):
        while sum(event["type"] == "relay.chat.chunk" for event in await events(relay)) < number:
            await asyncio.sleep(0.02)


Relays = Callable[..., RelayProcess]


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[Relays]:
    """Makes relays, not yet started, and leaves none behind."""
    made: list[RelayProcess] = []

    def make(**sections: Any) -> RelayProcess:
        made.append(RelayProcess(tmp_path, **sections))
        return made[-1]

    yield make
    for relay in made:
        relay.kill()


async def test_streams_that_a_kill_cut_off_end_at_the_next_start(relays: Relays) -> None:
    """A consumer would wait for the end of each conversation forever, or hear of it twice."""
    async with scripted(hang) as upstream, AsyncExitStack() as stack:
        relay = relays(upstream={"base_url": upstream.url}, proxy={"chunk_interval": "0s"})
        await relay.start()
        clients = await under_way(stack, relay.url, STREAMS)
        await until_recorded(relay, STREAMS)
        relay.kill()
        assert all([b"0\r\n\r\n" not in await client.rest() for client in clients])
        for _ in range(2):
            await relay.start()
            found = await events(relay)
            assert endings(found) == {subject: ["failed relay_restarted"] for subject in endings(found)}
            assert len(endings(found)) == STREAMS
            assert {event["data"]["choices"][0]["content"] for event in found if event["type"] in TERMINAL} == {"Hello"}
            assert await relay.stop() == 0


async def test_streams_get_their_time_and_then_their_end(relays: Relays) -> None:
    """An update would cut conversations in the middle, or wait for one that never ends."""
    async with scripted(hang) as upstream, AsyncExitStack() as stack:
        relay = relays(upstream={"base_url": upstream.url}, server={"drain_timeout": "4s"})
        await relay.start()
        clients = await under_way(stack, relay.url, STREAMS)
        loop = asyncio.get_running_loop()
        began = loop.time()
        ending = asyncio.create_task(relay.stop(60))
        rests = await asyncio.gather(*(client.rest() for client in clients))
        assert loop.time() - began > 1.0
        assert await ending == 0
        for rest in rests:
            assert b'data: {"error":{"message":"The relay is shutting down.' in rest
            assert not rest.endswith(b"0\r\n\r\n")
        await relay.start()
        found = await events(relay)
        assert endings(found) == {subject: ["failed relay_shutdown"] for subject in endings(found)}
        assert len(endings(found)) == STREAMS
        await relay.stop()


async def test_a_stream_that_ends_in_time_ends_as_always(relays: Relays) -> None:
    """An update would fail conversations that only needed another second."""
    may_end = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(frame("Hel"), frame("lo"), end=False))
        await may_end.wait()
        await call.send(chunks(frame("!", "stop"), b"data: [DONE]\n\n"))

    async with scripted(script) as upstream, AsyncExitStack() as stack:
        relay = relays(upstream={"base_url": upstream.url})
        await relay.start()
        [client] = await under_way(stack, relay.url, 1)
        ending = asyncio.create_task(relay.stop())
        async with asyncio.timeout(10):
            while b"draining" not in relay.log.read_bytes():
                await asyncio.sleep(0.01)
        may_end.set()
        assert (await client.rest()).endswith(b"[DONE]\n\n\r\n0\r\n\r\n")
        assert await ending == 0
        await relay.start()
        assert list(endings(await events(relay)).values()) == [["completed None"]]
        await relay.stop()


@pytest.mark.parametrize("secret", ["upstream-key-0123456789", "client-key-of-web-0123456789", "what-was-asked"])
async def test_no_key_and_no_prompt_is_in_the_log(relays: Relays, secret: str) -> None:
    """Anyone who reads the log could spend the credit, or follow the conversations."""
    sections = {
        "upstream": {"base_url": "http://127.0.0.1:1", "api_key": "upstream-key-0123456789"},
        "proxy": {"clients": {"web": {"key": "client-key-of-web-0123456789"}}},
        "log": {"level": "debug"},
    }
    relay = relays(**sections)
    await relay.start()
    for name in ("client-key-of-web-0123456789", "another-key"):
        async with wire(relay.url) as client:
            await client.send(
                asking(
                    "what-was-asked",
                    f"Authorization: Bearer {name}",
                    path="/openai/v1/chat/completions?q=what-was-asked",
                )
            )
            await client.answer()
    await relay.stop()
    log = relay.log.read_text()
    assert "chat failed" in log
    assert "chat refused" in log
    assert secret not in log


TWO_LINES = frame("Hello").replace(b',"created"', b',\ndata: "created"')


async def two_lines(call: Call) -> None:
    """A stream with an event of two ``data:`` lines, which is one chunk all the same."""
    await call.send(HEAD, chunks(TWO_LINES, b"data: [DONE]\n\n"))


async def test_a_chunk_of_several_data_lines_breaks_no_frame_and_no_line(relays: Relays) -> None:
    """Each consumer over HTTP would get a broken frame, and ``tail --json`` and an export lines that are no JSON."""
    async with scripted(two_lines) as upstream:
        relay = relays(upstream={"base_url": upstream.url}, proxy={"chunk_interval": "0s"})
        await relay.start()
        async with wire(relay.url) as client:
            await client.send(asking())
            await client.reader.readuntil(b"0\r\n\r\n")
        await until_recorded(relay, 1)
        kinds = ["relay.chat.started", "relay.chat.chunk", "relay.chat.completed"]
        assert [event["type"] for event in await tailed(relay, 3)] == kinds
        assert await relay.stop() == 0
        exported = await asyncio.create_subprocess_exec(
            *(RELAY, "journal", "export", "--config", relay.config), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(20):
            lines, _ = await exported.communicate()
        assert [json.loads(line)["type"] for line in lines.splitlines()] == kinds


async def tailed(relay: RelayProcess, count: int) -> list[dict[str, Any]]:
    """The first events, as ``tail --json`` writes them while it follows."""
    command = (RELAY, "tail", "--config", relay.config, "--from-start", "--json")
    tail = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert tail.stdout is not None
    try:
        async with asyncio.timeout(20):
            return [json.loads(await tail.stdout.readline()) for _ in range(count)]
    finally:
        tail.kill()
        await tail.wait()
