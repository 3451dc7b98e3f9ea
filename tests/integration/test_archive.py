"""Outputs of tasks in a folder: each is archived once, whatever happens to relay on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.faults.harness.failpoints import ARCHIVE, Failpoint
from tests.faults.harness.launch import crashing
from tests.integration.test_task_registry import PROMPT, Caller
from tests.services.in_process import PATH, running, task
from tests.services.relay import RelayProcess


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def submitted(session: aiohttp.ClientSession, url: str, faults: str = "") -> str:
    async with session.post(url + "/v3/async/txt2img", json=PROMPT, headers={"X-Simulate": faults}) as response:
        assert response.status == 200, await response.text()
        return str((await response.json())["task_id"])


def outputs(*arguments: str) -> Any:
    """What ``relay outputs`` says."""
    command = [sys.executable, "-m", "relay", "outputs", *arguments]
    return json.loads(subprocess.run(command, timeout=90, capture_output=True, check=False).stdout)


async def events(session: aiohttp.ClientSession, url: str, topic: str, count: int = 0) -> list[dict[str, Any]]:
    """All of a topic, once there are so many."""
    async with asyncio.timeout(60):
        while True:
            async with session.get(f"{url}/v1/events", params={"topic": topic, "limit": 1000}) as response:
                found = [entry["event"] for entry in (await response.json())["events"]]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def test_each_output_of_a_task_is_in_the_folder_as_its_event_says(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """A consumer that is late would find nothing behind the link, and nothing in the team's own store."""
    store = tmp_path / "outputs"
    async with Simulator(Options(queue_seconds=0.1, run_seconds=0.2)) as upstream:
        archive = {"url": store.as_uri(), "allow_hosts": [upstream.url]}
        polling = {"enabled": True, "first_after": "500ms", "every": "300ms"}
        async with running(tmp_path, archive=archive, reconcile=polling, upstream={"base_url": upstream.url}) as relay:
            tasks = [await submitted(session, relay.url, "lost") for _ in range(3)]
            await Caller(session, relay.url).until_ended(len(tasks), within=60)
            made = {
                (event["subject"], index)
                for event in await events(session, relay.url, "tasks")
                if event["type"] == "relay.task.succeeded"
                for index, _ in enumerate(event["data"]["outputs"])
            }
            found = await events(session, relay.url, "outputs", len(made))
    assert Counter((event["subject"], event["data"]["index"]) for event in found) == Counter(made)
    for event in found:
        data = event["data"]
        content = (store / data["store_key"]).read_bytes()
        assert (event["type"], len(content)) == ("relay.output.archived", data["size"]), data
        assert hashlib.sha256(content).hexdigest() == data["sha256"]
        assert data["url"] == (store / data["store_key"]).as_uri()
        assert "?" not in data["source_url"]


async def test_a_lost_output_is_listed_and_archived_when_it_is_tried_again(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """An operator who has moved the other object away could neither find nor have what was lost."""
    store = tmp_path / "outputs"
    async with Simulator() as upstream:
        archive = {"url": store.as_uri(), "allow_hosts": [upstream.url], "key": "{task_id}/{index}"}
        (store / "t-1").mkdir(parents=True)
        (store / "t-1" / "0").write_text("somebody's")
        images = [{"image_url": f"{upstream.url}/_simulator/outputs/1.png", "image_type": "png"}]
        async with running(tmp_path, archive=archive, upstream={"base_url": upstream.url}) as relay:

            async def cli(*arguments: str) -> Any:
                return await asyncio.to_thread(outputs, *arguments, "--json", "--url", relay.url)

            async with session.post(relay.url + PATH, data=task("t-1", images=images)) as response:
                assert response.status == 200, await response.text()
            await events(session, relay.url, "outputs", 1)
            [lost] = (await cli("list", "--state", "lost"))["outputs"]
            assert (lost["task_id"], lost["index"], lost["reason"]) == ("t-1", 0, "different_object")
            (store / "t-1" / "0").unlink()
            assert (await cli("retry", "--all"))["results"] == [{"output": "t-1/0", "status": "waiting"}]
            found = await events(session, relay.url, "outputs", 2)
            assert [(event["type"], event["data"]["retried"]) for event in found] == [
                ("relay.output.lost", False),
                ("relay.output.archived", True),
            ]
            refused = await cli("retry", "t-1/0")
            assert refused["results"][0]["code"] == "not_retriable"


@pytest.mark.parametrize("point", ARCHIVE, ids=lambda point: point.name)
async def test_killed_at_any_moment_each_output_ends_once(
    tmp_path: Path, session: aiohttp.ClientSession, point: Failpoint
) -> None:
    """An output would end twice, or not at all, or a half of it be taken for all of it."""
    store = tmp_path / "outputs"
    async with Simulator() as upstream:
        archive = {"url": store.as_uri(), "allow_hosts": [upstream.url]}
        relay = RelayProcess(tmp_path / "relay", archive=archive, upstream={"base_url": upstream.url})
        images = [{"image_url": f"{upstream.url}/_simulator/outputs/{n}.png", "image_type": "png"} for n in range(3)]
        await relay.start(*crashing(point.name, 2))
        async with session.post(relay.webhook_url, data=task("t-1", images=images)) as response:
            assert response.status == 200, await response.text()
        assert await relay.ended(60) == -signal.SIGKILL
        await relay.start()
        try:
            found = await events(session, relay.url, "outputs", 3)
        finally:
            await relay.stop()
    assert sorted((event["data"]["index"], event["type"]) for event in found) == [
        (n, "relay.output.archived") for n in range(3)
    ]
    for event in found:
        content = (store / event["data"]["store_key"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == event["data"]["sha256"]
    assert len([path for path in store.rglob("*.png") if path.is_file()]) == 3
