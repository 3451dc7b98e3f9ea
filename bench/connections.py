"""What do connections cost on which little is said? ``make bench-connections``: crowds, and a sender beside each.

(a) 700 connections on each listener that send the head of a request byte by byte. (b) As many idle ones as there may
be, 10,000 by default, each after one request. (c) 2,000 consumers of ``GET /v1/events`` that follow live. For each: the
memory of one, the cores, and how long the webhooks of a sender beside took, and the probes. Needs 11,000 descriptors.
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

from tests.hostile.stage import WEBHOOK, Stage, staged
from tests.services.raw_http import ask, get, post

SLOW, IDLE, CONSUMERS, SECONDS = 700, 10_000, 2_000, 15.0
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


async def consumer(url: str) -> None:
    """Reads what comes live."""
    reader, writer = await connect(url)
    writer.write(get("/v1/events", "Accept: text/event-stream"))
    while await reader.read(65_536):
        pass
    writer.close()


async def timed(seconds: float, ask_once: Callable[[int], Awaitable[object]]) -> list[float]:
    """How long each took, ten a second."""
    took: list[float] = []
    ending = time.perf_counter() + seconds
    while time.perf_counter() < ending:
        started = time.perf_counter()
        await ask_once(len(took))
        took.append(time.perf_counter() - started)
        await asyncio.sleep(max(0.0, 0.1 - took[-1]))
    return sorted(took)


async def crowd(stage: Stage, name: str, number: int, member: Callable[[], Awaitable[None]]) -> str:
    """One row of the table."""
    before = stage.memory
    members = []
    for begun in range(0, number, 200):
        members += [asyncio.ensure_future(member()) for _ in range(min(200, number - begun))]
        await asyncio.sleep(0.3)
    await asyncio.sleep(2)
    grown, cpu, started = stage.memory - before, stage.cpu, time.perf_counter()

    async def deliver(turn: int) -> None:
        task = f'{{"task":{{"task_id":"{name}-{turn}","status":"TASK_STATUS_SUCCEED"}}}}'.replace(" ", "-")
        assert (await ask(stage.url, post(WEBHOOK, task.encode()))).status == 200

    async def probe(_: int) -> None:
        assert (await ask(stage.relay.admin_url, get("/livez"), "GET")).status == 200

    webhooks, probes = await asyncio.gather(timed(SECONDS, deliver), timed(SECONDS, probe))
    cores = (stage.cpu - cpu) / (time.perf_counter() - started)
    for each in members:
        each.cancel()
    await asyncio.gather(*members, return_exceptions=True)
    return f"| {name} | {number:,} | {grown / number * 1024:.1f} | {cores:.2f} | {told(webhooks)} | {told(probes)} |"


def told(took: list[float]) -> str:
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
    with tempfile.TemporaryDirectory() as directory, staged(Path(directory)) as stage:
        asyncio.run(rows(stage))


if __name__ == "__main__":
    main()
