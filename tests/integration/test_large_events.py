"""Events of half a megabyte: no answer and no look into the journal takes more memory than its own limit of bytes."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.deliveries import new_task, succeeded
from tests.services.relay import RelayProcess

MIB = 1 << 20
EVENTS = 160
FILLER = MIB // 2
PAGE = 4 * MIB
"""Bytes of data in one answer, as docs/consumers.md has it."""

LOG = 64 * MIB
"""Bytes that the write-ahead log may have, as ADR 1 has it."""

ROOM = 64 * MIB
"""What reading one page may add to the memory at its peak: the page in a few forms. All events are 80 MiB."""


def peak(pid: int) -> int:
    """The most memory that the process has had since ``forget_peak``, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


async def page(session: aiohttp.ClientSession, relay: RelayProcess, after: int, query: str) -> dict[str, Any]:
    async with session.get(f"{relay.url}/v1/events?after={after}&limit=1000{query}") as response:
        assert response.status == 200
        body = await response.read()
        assert len(body) <= PAGE + MIB
        answer: dict[str, Any] = await response.json()
        return answer


@pytest.mark.parametrize("query", ["", "&type=relay.task.succeeded"], ids=["all", "of one type"])
async def test_a_page_of_large_events_stays_within_its_bytes(query: str, tmp_path: Path) -> None:
    """One consumer who pages through large events would take the memory of all of them, and end the relay."""
    relay = RelayProcess(tmp_path)
    await relay.start()
    try:
        async with aiohttp.ClientSession() as session:
            tasks = [new_task() for _ in range(EVENTS)]
            for task in tasks:
                body = succeeded(task, filler=FILLER)
                async with session.post(relay.webhook_url, data=body) as response:
                    assert response.status == 200
            forget_peak(relay.pid)
            before, after, found = peak(relay.pid), 0, []
            while (answer := await page(session, relay, after, query))["events"]:
                found += [each["event"]["subject"] for each in answer["events"]]
                after = answer["next"]
            assert found == tasks
            assert peak(relay.pid) - before < ROOM
    finally:
        relay.kill()


async def test_the_log_stays_short_while_large_events_come_and_others_page(tmp_path: Path) -> None:
    """Readers who are never idle would keep the log from starting over: it would fill the disk, and each start after
    a crash recover all of it."""
    relay = RelayProcess(tmp_path)
    log = tmp_path / "relay.db-wal"
    await relay.start()
    longest = 0
    try:
        async with aiohttp.ClientSession() as session:
            bodies = iter([succeeded(new_task(), filler=FILLER) for _ in range(3 * EVENTS)])

            async def deliver() -> None:
                nonlocal longest
                for body in bodies:
                    async with session.post(relay.webhook_url, data=body) as response:
                        assert response.status == 200
                    longest = max(longest, log.stat().st_size)

            async def follow() -> None:
                while True:
                    after = 0
                    while (answer := await page(session, relay, after, ""))["events"]:
                        after = answer["next"]

            readers = [asyncio.ensure_future(follow()) for _ in range(4)]
            await asyncio.gather(*(deliver() for _ in range(8)))
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        assert longest <= LOG
    finally:
        relay.kill()
