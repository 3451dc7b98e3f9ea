"""What do quiet connections cost? ``make bench-connections``: crowds, and a sender beside each.

(a) 700 connections on each listener that send the head of a request byte by byte. (b) As many idle ones as there may
be, 10,000 by default, each after one request. (c) 2,000 consumers of ``GET /v1/events`` that follow live. For each: the
memory of one, the cores, and how long the webhooks of a sender beside took, and the probes: ten of each a second, from
a process of its own. Needs 11,000 descriptors.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from tests.hostile.stage import Stage, staged
from tests.services.raw_http import get

SLOW, IDLE, CONSUMERS, SECONDS, PAUSE = 700, 10_000, 2_000, 15.0, 0.1
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(url: str) -> Pair:
    """A connection to a listener."""
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def slow(url: str) -> None:
    """The head of a request, a byte each half second; again where it is cut."""
    while True:
        with suppress(OSError):
            _, writer = await connect(url)
            for byte in get("/livez", "X-Filler: " + "x" * 1000):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.5)
                if writer.is_closing():
                    break


async def idle(url: str) -> None:
    """One request, and then nothing."""
    reader, writer = await connect(url)
    writer.write(get("/nothing"))
    await reader.readuntil(b"}")
    await asyncio.sleep(3600)
    writer.close()


class Consumer(asyncio.Protocol):
    """Takes what comes live, and does nothing with it: 2,000 of them have to keep up in one process."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(get("/v1/events", "Accept: text/event-stream"))


async def consumer(url: str) -> None:
    """Follows live."""
    host, port = url.removeprefix("http://").split(":")
    transport, _ = await asyncio.get_running_loop().create_connection(Consumer, host, int(port))
    try:
        await asyncio.sleep(3600)
    finally:
        transport.abort()


async def crowd(stage: Stage, name: str, number: int, member: Callable[[], Awaitable[None]]) -> str:
    """One row of the table."""
    before = stage.memory
    members = []
    for begun in range(0, number, 200):
        members += [asyncio.ensure_future(member()) for _ in range(min(200, number - begun))]
        await asyncio.sleep(0.3)
    await asyncio.sleep(2)
    grown, cpu, started = stage.memory - before, stage.cpu, time.perf_counter()
    stage.companion.begin()
    await asyncio.sleep(SECONDS)
    seen = await asyncio.to_thread(stage.companion.end)
    assert not seen.failed, seen.failed
    cores = (stage.cpu - cpu) / (time.perf_counter() - started)
    for each in members:
        each.cancel()
    await asyncio.gather(*members, return_exceptions=True)
    times = f"{median_and_p99(sorted(seen.acknowledged))} | {median_and_p99(sorted(seen.probed))}"
    return f"| {name} | {number:,} | {grown / number * 1024:.1f} | {cores:.2f} | {times} |"


def median_and_p99(took: list[float]) -> str:
    """The median and p99, in milliseconds."""
    return f"{took[len(took) // 2] * 1e3:.1f} | {took[-1 - len(took) // 100] * 1e3:.1f}"


async def rows(stage: Stage) -> None:
    """The table."""
    out = sys.stdout.write
    out(
        "| connections | number | KiB each | cores | webhook p50 ms | p99 ms | probe p50 ms | p99 ms |\n"
        + "|---" * 8
        + "|\n"
    )
    for name, number, member in (
        ("none", 1, lambda: asyncio.sleep(3600)),
        ("slow heads", SLOW, lambda: slow(stage.url)),
        ("slow heads, admin", SLOW, lambda: slow(stage.relay.admin_url)),
        ("idle", IDLE, lambda: idle(stage.url)),
        ("live consumers", CONSUMERS, lambda: consumer(stage.url)),
    ):
        out(await crowd(stage, name, number, member) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(3)


def main() -> None:
    """Prints the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as directory, staged(Path(directory), pause=PAUSE) as stage:
        asyncio.run(rows(stage))


if __name__ == "__main__":
    main()
