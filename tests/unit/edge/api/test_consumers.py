"""What remains of a consumer. That slow ones are cut, and steady ones not: tests/integration/test_slow_consumers.py."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from relay.edge.api import consumers
from relay.edge.api.consumers import Consumer, ConsumerLimits
from relay.edge.api.event_reader import PIECE_BYTES
from relay.edge.api.events import Events
from relay.edge.api.shares import Share
from relay.edge.http.raw_response import RawResponse
from relay.telemetry.signals.consumers import ConsumerSignals
from relay.telemetry.telemetry import Telemetry
from relay.upstream import RawHeaders
from tests.services.raw_http import get, wire
from tests.unit.drafts import draft
from tests.unit.edge.serving import api, opened

BIG = b'"' + b"x" * 300_000 + b'"'


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing is freed but what nobody refers to any more."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def present() -> int:
    return sum(isinstance(each, (Consumer, RawResponse, web.Request)) for each in gc.get_objects())


@pytest.mark.parametrize("how", ["cut", "left", "done", "cut at the end"])
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.usefixtures("uncollected")
async def test_a_consumer_that_is_gone_leaves_nothing_behind(
    tmp_path: Path, how: str, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was being sent would stay in memory until a full collection, which a busy relay rarely comes to."""
    monkeypatch.setattr(consumers, "ENDING_TIMEOUT", 0.1)
    before, begun, begin = present(), [], Consumer.begin

    def noted(consumer: Consumer, headers: RawHeaders) -> None:  # later, one that is cut may be gone already
        begun.append(present())
        begin(consumer, headers)

    monkeypatch.setattr(Consumer, "begin", noted)
    headers = ["Accept: text/event-stream"] if live else []
    limits = ConsumerLimits(send_timeout=0.1 if how == "cut" else 60.0)
    async with opened(tmp_path) as journal:
        for n in range(20):
            await journal.append(draft(str(n), data=BIG))
        events = Events(journal.events, ConsumerSignals(Telemetry()), limits)
        async with api({"GET /v1/events": events.get}) as url:
            async with wire(url) as connection:
                await connection.send(get("/v1/events?limit=1000", "Connection: close", *headers))
                await connection.reader.readuntil(b"\r\n\r\n")
                assert begun[0] > before
                if how == "done":
                    events.consumers.stop()
                    await connection.rest()
                elif how == "cut":
                    connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
                    await gone(events)
                elif how == "cut at the end":
                    connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
                    events.consumers.stop()
                    await gone(events)
            await gone(events)
            del connection
            async with asyncio.timeout(30):
                while present() > before:
                    await asyncio.sleep(0.01)


async def test_a_connection_is_after_a_page_what_it_was_before(tmp_path: Path) -> None:
    """What is asked next on it would be written in small steps, each of which waits for the client."""
    found = []

    async def look(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ahead = request.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        found.append((request.transport.get_write_buffer_limits(), ahead))
        return web.Response()

    async with opened(tmp_path) as journal:
        events = Events(journal.events, ConsumerSignals(Telemetry()))
        async with api({"GET /v1/events": events.get, "GET /v1/look": look}) as url, wire(url) as connection:
            for path in ("/v1/look", "/v1/events", "/v1/look"):
                await connection.send(get(path))
                assert (await connection.answer()).status == 200
    assert found[0] == found[1]


async def test_who_waits_for_room_is_kept_and_goes_on(tmp_path: Path) -> None:
    """Consumers would be cut, or hear nothing, because of others that do not read."""
    async with opened(tmp_path) as journal:
        await journal.append(draft())
        limits = ConsumerLimits(heartbeat=0.05, send_timeout=0.1, room=1000)
        events = Events(journal.events, ConsumerSignals(Telemetry()), limits)
        others = Share(events.consumers._room, "others")
        assert others.ask(1000).done()
        async with (
            api({"GET /v1/events": events.get}) as url,
            wire(url) as live,
            wire(url) as page,
            asyncio.timeout(10),
        ):
            await live.send(get("/v1/events", "Accept: text/event-stream"))
            for _ in range(5):
                assert await live.reader.readuntil(b": still here\n\n")
            others.give_back()
            assert await live.reader.readuntil(b"id: 1\n")
            await others.ask(1000)
            await page.send(get("/v1/events"))
            await begun(events, 2)
            events.consumers.stop()
            assert (await page.answer()).json == {"events": [], "next": 0, "pruned": None}


async def test_who_has_read_goes_on_beside_those_of_its_client_that_have_not(tmp_path: Path) -> None:
    """One program that forgets its streams would slow the others of the same token down, although they read."""
    async with opened(tmp_path) as journal:
        await journal.append(draft("1"))
        events = Events(
            journal.events, ConsumerSignals(Telemetry()), ConsumerLimits(heartbeat=0.05, room=4 * PIECE_BYTES)
        )
        stuck = Share(events.consumers._room, ("127.0.0.1", False))
        async with (
            api({"GET /v1/events": events.get}) as url,
            wire(url) as reading,
            wire(url) as fresh,
            asyncio.timeout(10),
        ):
            await reading.send(get("/v1/events", "Accept: text/event-stream"))
            await reading.reader.readuntil(b"still here")
            assert stuck.ask(2 * PIECE_BYTES).done()
            await fresh.send(get("/v1/events", "Accept: text/event-stream"))
            await journal.append(draft("2"))
            assert b"id: 2\n" in await reading.reader.readuntil(b"2:succeeded")
            for _ in range(3):
                assert b"id: " not in await fresh.reader.readuntil(b"still here")
            stuck.give_back()
            assert await fresh.reader.readuntil(b"id: 1\n")


async def begun(events: Events, count: int) -> None:
    async with asyncio.timeout(10):
        while len(events.consumers._present) < count:
            await asyncio.sleep(0.01)


async def gone(events: Events) -> None:
    async with asyncio.timeout(10):
        while events.consumers._present:
            await asyncio.sleep(0.01)
