"""Consumers who page through ``/v1/events`` and never stop: ``python -m bench._pagers URL COUNT SECONDS``."""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp
import orjson
import uvloop


async def run(url: str, count: int, seconds: float) -> str:
    """Pages and answers how much that was."""
    pages = events = 0
    end = time.monotonic() + seconds

    async def follow(session: aiohttp.ClientSession) -> None:
        nonlocal pages, events
        after = 0
        while time.monotonic() < end:
            async with session.get(f"{url}/v1/events?after={after}&limit=100") as response:
                answer = orjson.loads(await response.read())
            pages, events = pages + 1, events + len(answer["events"])
            after = answer["next"] if answer["events"] else 0

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(follow(session) for _ in range(count)))
    return f"{pages / seconds:.0f} pages/s, {events / seconds:,.0f} events/s"


if __name__ == "__main__":
    print(uvloop.run(run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
