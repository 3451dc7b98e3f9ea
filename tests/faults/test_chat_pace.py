"""R13: many streams at the pace of people's reading. No chunk is missed; what it costs in time is noted, not judged.

Times are judged by ``make bench-chat``, with a load and an upstream that have cores of their own.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import pytest

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.faults.harness.matrix import SEED, Effort, Row
from tests.faults.harness.streams import TERMINAL, balance, events_of
from tests.services.chat import chat_client
from tests.services.relay import RelayProcess

PACE = 0.05


@dataclass(frozen=True, slots=True)
class Read:
    """One stream as its client read it; ``first``: seconds from the request to the first piece."""

    headers: dict[str, str]
    body: bytes
    first: float


@pytest.mark.row("R13", "paced streams")
async def test_of_many_streams_at_once_no_chunk_is_missed(tmp_path: Path, row: Row, effort: Effort) -> None:
    """Broken: P6: under many streams at once, events would say less than their streams, or have gaps."""
    streams, chunks = effort(short=60, full=200, long=200), effort(short=40, full=400)
    async with Simulator(Options(seed=SEED)) as simulator:
        relay = RelayProcess(tmp_path / "relay", upstream={"base_url": simulator.url})
        await relay.start()
        try:
            direct = await asyncio.gather(*(read(simulator.url, 20, each / streams) for each in range(streams)))
            through = await asyncio.gather(*(read(relay.url, chunks, each / streams) for each in range(streams)))
            async with asyncio.timeout(20):
                while balance({}, events := await events_of(relay.url)).ends.total() < streams:
                    await asyncio.sleep(0.1)
        finally:
            relay.kill()
    endings = {event["subject"]: event["data"] for event in events if event["type"] in TERMINAL}
    firsts = [quantiles((one.first for one in reads), n=100) for reads in (direct, through)]
    row.load = f"{streams} streams, {1 / PACE:.0f} chunks/s each"
    row.counted(acknowledged=streams, lost=streams - len(endings))
    row.notes.append(
        f"first piece p50 {firsts[0][49] * 1e3:.1f} ms directly, {firsts[1][49] * 1e3:.1f} ms through the relay; "
        f"p99 {firsts[0][98] * 1e3:.1f} and {firsts[1][98] * 1e3:.1f} ms (load and upstream in one process)"
    )
    for one in through:
        data = endings[one.headers["x-relay-chat-id"]]
        assert one.body.endswith(b"data: [DONE]\n\n")
        assert (data["outcome"], data["gaps"], data["bytes"]) == ("completed", 0, len(one.body))
        assert data["chunks"] == one.body.count(b"data: ") - 1


async def read(url: str, chunks: int, after: float) -> Read:
    """One stream to its end, begun ``after`` so many seconds: not all at once."""
    await asyncio.sleep(after)
    async with chat_client(url) as client:
        asked = time.monotonic()
        await client.ask({"X-Simulate": f"chunks={chunks}, pace={PACE * 1000:.0f}ms"})
        await client.head()
        pieces = client.pieces()
        await anext(pieces)
        first = time.monotonic() - asked
        async for _ in pieces:
            pass
        return Read(client.headers, bytes(client.body), first)
