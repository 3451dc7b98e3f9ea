"""A journal behind a link is the same journal by every path to it; who refuses it or only looks changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.deliveries import new_task, succeeded
from tests.integration.test_cli import run
from tests.services.relay import RelayProcess

EVENTS = 40


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Where the journal really is; ``linked`` leads there."""
    volume = tmp_path / "volume"
    volume.mkdir()
    return volume


@pytest.fixture
async def linked(tmp_path: Path, volume: Path) -> AsyncIterator[RelayProcess]:
    """A relay whose journal.path is a link to the file, with events in its log."""
    link = tmp_path / "relay.db"
    link.symlink_to(volume / "events.db")
    relay = RelayProcess(tmp_path)
    await relay.start()
    async with aiohttp.ClientSession() as session:
        for _ in range(EVENTS):
            async with session.post(relay.webhook_url, data=succeeded(new_task())) as response:
                assert response.status == 200
    yield relay
    relay.kill()


def contents(volume: Path) -> dict[str, bytes]:
    """All files there, but for the locks, which hold nothing."""
    return {file.name: file.read_bytes() for file in volume.iterdir() if not file.name.endswith("-lock")}


async def held(relay: RelayProcess) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{relay.url}/v1/events?limit=1000") as response:
        return len((await response.json())["events"])


async def test_a_linked_journal_recovers_after_a_kill(linked: RelayProcess) -> None:
    """A relay behind a link could not start again, and its first try would delete the log of what it acknowledged."""
    linked.kill()
    await linked.start()
    assert await held(linked) == EVENTS


async def test_a_start_that_refuses_changes_nothing(linked: RelayProcess, volume: Path) -> None:
    """What is still on a damaged disk would be destroyed by the start that finds the damage."""
    linked.kill()
    log = volume / "events.db-wal"
    damaged = bytearray(log.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    log.write_bytes(damaged)
    before = contents(volume)
    for _ in range(2):
        linked.launch()
        assert await linked.ended(20) == 1
    assert "journal_damaged" in linked.log.read_text()
    before.pop("events.db-shm", None)
    after = contents(volume)
    after.pop("events.db-shm", None)
    assert after == before


@pytest.mark.parametrize("command", ["stats", "verify", "export"])
async def test_a_look_from_outside_changes_nothing(command: str, linked: RelayProcess, volume: Path) -> None:
    """Saving what can be saved of a journal would take its log away."""
    linked.kill()
    (volume / "events.db-shm").unlink(missing_ok=True)
    before = contents(volume)
    for path in (linked.directory / "relay.db", volume / "events.db"):
        result = await asyncio.to_thread(run, "journal", command, "--json", "--path", path)
        assert result.returncode == 0, result.stderr
        assert contents(volume) == before
    if command == "export":
        assert len(result.stdout.splitlines()) == EVENTS


async def test_one_journal_by_two_paths_is_one_journal(linked: RelayProcess, volume: Path) -> None:
    """Two relays would write one journal, each under a path of its own."""
    other = RelayProcess(linked.directory / "other", journal={"path": str(volume / "events.db")})
    other.launch()
    assert await other.ended(20) == 1
    assert json.loads(other.log.read_text().splitlines()[-1])["code"] == "journal_in_use"
    looked = await asyncio.to_thread(run, "journal", "stats", "--path", volume / "events.db")
    assert looked.returncode == 1
    assert "Stop the relay first" in looked.stderr
    assert await held(linked) == EVENTS
