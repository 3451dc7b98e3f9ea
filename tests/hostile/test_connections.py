"""Connections of strangers: what they send before anybody knows who they are."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.hostile.stage import Stage, closes
from tests.services.raw_http import get, wire

HEADER_TIMEOUT, KEEPALIVE_TIMEOUT = 1.0, 2.0
"""Seconds, as configured here."""

ADMIN_HEADER_TIMEOUT, PARTING = 10.0, 1.0
"""Seconds, as they always are: the latter for those who have been refused, and still have to read why."""

FIELDS = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 8000) for number in range(126))


async def endless_head(url: str) -> None:
    """A megabyte of fields, each of a size that is allowed, and no end."""
    async with wire(url) as connection:
        with suppress(ConnectionError):
            await connection.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + FIELDS)
        await closes(connection, within=PARTING)


@pytest.mark.parametrize("listener", ["main", "admin"])
async def test_heads_that_never_end(stage: Stage, listener: str) -> None:
    """300 connections without a token took 600 MB, each time, and gave none of it back."""
    url = stage.url if listener == "main" else stage.relay.admin_url
    number = 300 if listener == "main" else 200
    for _ in range(3):
        async with stage.case(mib=30, cpu=8, loop=500):  # a turn of the loop takes 50 MB in, and drops them
            await asyncio.gather(*(endless_head(url) for _ in range(number)))


async def test_short_connections(stage: Stage) -> None:
    """18,000 ordinary connections left 100 MB."""

    async def visit(times: int) -> None:
        for _ in range(times):
            async with wire(stage.url) as connection:
                await connection.send(get("/nothing"))
                assert (await connection.answer()).status == 404

    before = stage.memory
    async with stage.case(mib=20, cpu=20, loop=250):
        await asyncio.gather(*(visit(100) for _ in range(40)))
    assert stage.memory - before < 6


async def silent(url: str, header_timeout: float) -> None:
    """Says nothing."""
    async with wire(url) as connection:
        assert await closes(connection, within=header_timeout) == b""


async def dripping(url: str, header_timeout: float) -> None:
    """A head that comes byte by byte."""

    async def drip() -> None:
        with suppress(ConnectionError):
            for byte in get("/livez", "X-Filler: " + "x" * 1000):
                await connection.send(bytes([byte]))
                await asyncio.sleep(0.1)

    async with wire(url) as connection:
        dripping = asyncio.create_task(drip())
        try:
            assert (await closes(connection, within=header_timeout + PARTING)).startswith(b"HTTP/1.1 408 ")
        finally:
            dripping.cancel()
            await asyncio.wait([dripping])


async def idle(url: str) -> None:
    """One request, and nothing after its answer."""
    async with wire(url) as connection:
        await connection.send(get("/nothing"))
        assert (await connection.answer()).status == 404
        assert await closes(connection, within=KEEPALIVE_TIMEOUT) == b""


async def test_who_asks_nothing_is_gone_in_time(stage: Stage) -> None:
    """Connections would be open for as long as strangers like, and take everybody's place."""
    async with stage.case(mib=20, cpu=3, loop=250):
        visitors = [visit(stage.url, HEADER_TIMEOUT) for visit in (silent, dripping) for _ in range(100)]
        await asyncio.gather(*visitors, *(idle(stage.url) for _ in range(100)))


async def test_who_asks_the_admin_listener_nothing_is_gone_in_time(stage: Stage) -> None:
    """Its limits are not those of the configuration, and so could be none."""
    async with stage.case(mib=20, cpu=3, loop=250):
        url = stage.relay.admin_url
        await asyncio.gather(*(visit(url, ADMIN_HEADER_TIMEOUT) for visit in (silent, dripping) for _ in range(100)))
