"""Connections of strangers: what they send before anybody knows who they are."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.hostile.stage import Stage
from tests.services.raw_http import get, wire

FIELDS = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 8000) for number in range(126))


async def endless_head(url: str) -> None:
    """A megabyte of fields, each of a size that is allowed, and no end."""
    with suppress(ConnectionError, BrokenPipeError):
        async with wire(url) as connection:
            await connection.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + FIELDS)
            await connection.rest()


@pytest.mark.parametrize("listener", ["main", "admin"])
async def test_heads_that_never_end(stage: Stage, listener: str) -> None:
    """300 connections without a token took 600 MB, each time, and gave none of it back."""
    url = stage.url if listener == "main" else stage.relay.admin_url
    number = 300 if listener == "main" else 200
    for _ in range(3):
        async with stage.case(mib=30, cpu=8):
            await asyncio.gather(*(endless_head(url) for _ in range(number)))


async def test_short_connections(stage: Stage) -> None:
    """18,000 ordinary connections left 100 MB."""

    async def visit(times: int) -> None:
        for _ in range(times):
            async with wire(stage.url) as connection:
                await connection.send(get("/nothing"))
                assert (await connection.answer()).status == 404

    before = stage.memory
    async with stage.case(mib=20, cpu=20):
        await asyncio.gather(*(visit(100) for _ in range(40)))
    assert stage.memory - before < 6
