"""``relay drain --stopped``: the journal of a relay that is gone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.in_process import PATH, task
from tests.services.raw_http import ask, post
from tests.services.redis import Redis, redis_cli
from tests.services.relay import RelayProcess

NOTHING_LEFT = {"drained": True, "left": {"r": 0}, "open_chats": 0, "open_tasks": 0}


async def drained(relay: RelayProcess, timeout: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    command = [sys.executable, "-m", "relay", "drain", "--stopped", "--config", str(relay.config)]
    command += ["--timeout", timeout, "--json"]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120, check=False)


async def left_behind(relay: RelayProcess, events: int) -> None:
    """The relay accepts events that it cannot publish, and says so when it ends."""
    await relay.start()
    for n in range(events):
        assert (await ask(relay.url, post(PATH, task(f"left-{n}")))).status == 200
    assert await relay.stop(within=10.0) == 0
    assert f'"unpublished":{{"r":{events}}}' in relay.log.read_text().replace('": ', '":')


async def test_what_a_relay_left_behind_is_published(redis_server: Redis, tmp_path: Path) -> None:
    """The events of a replica that was scaled down would stay on its volume forever."""
    prefix = redis_server.prefix()
    sink = {"type": "redis", "name": "r", "prefix": prefix}
    relay = RelayProcess(tmp_path, sinks=[{**sink, "url": "redis://127.0.0.1:1/0"}])
    await left_behind(relay, 20)
    away = await drained(relay, "1s")
    assert (away.returncode, json.loads(away.stdout)["left"]) == (1, {"r": 20})
    relay.configure(sinks=[{**sink, "url": redis_server.url}])
    for _ in range(2):
        there = await drained(relay, "60s")
        assert (there.returncode, json.loads(there.stdout)) == (0, NOTHING_LEFT), there.stderr
        assert int(redis_cli(redis_server.port, "XLEN", f"{prefix}tasks")) == 20


async def test_a_journal_in_use_is_left_alone(tmp_path: Path) -> None:
    """Two processes would publish the same events."""
    relay = RelayProcess(tmp_path, sinks=[{"type": "redis", "url": "redis://127.0.0.1:1/0"}])
    await relay.start()
    try:
        refused = await drained(relay, "1s")
        assert refused.returncode == 1
        assert "in use" in refused.stderr or "journal_in_use" in refused.stderr
    finally:
        relay.kill()


@pytest.mark.parametrize("sinks", [[], [{"type": "redis", "url": "redis://127.0.0.1:1/0"}]])
async def test_without_a_sink_or_a_journal_it_says_so(tmp_path: Path, sinks: list[dict[str, str]]) -> None:
    """A wrong path would look like a journal of which everything is published."""
    relay = RelayProcess(tmp_path, sinks=sinks)
    refused = await drained(relay, "1s")
    assert refused.returncode == 1
    assert ("No sink is configured" if not sinks else "relay.db") in refused.stderr
    assert not relay.journal.exists()
