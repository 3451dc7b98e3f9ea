"""Tasks from their registration to their end, through a whole relay and the simulated upstream."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.services.in_process import running
from tests.services.ports import free_port
from tests.services.relay import RelayProcess

SWIFT = {"enabled": True, "first_after": "500ms", "every": "200ms", "unknown_timeout": "2s", "max_rate": 50}
PROMPT = {"request": {"prompt": "a kite", "model_name": "m", "width": 512, "height": 512, "image_num": 1}}
BOUND = 30.0

Condition = Callable[[], Awaitable[bool]]


async def until(condition: Condition, within: float = BOUND) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.05)


class Caller:
    """Somebody who uses the API."""

    def __init__(self, session: aiohttp.ClientSession, relay_url: str) -> None:
        self._session, self._url = session, relay_url

    async def submit(self, base: str, path: str = "/v3/async/txt2img") -> str:
        async with self._session.post(base + path, json=PROMPT) as response:
            assert response.status == 200, await response.text()
            return str((await response.json())["task_id"])

    async def watch(self, task_id: str) -> int:
        async with self._session.post(self._url + "/v1/tasks", json={"task_id": task_id}) as response:
            return response.status

    async def task(self, task_id: str) -> dict[str, Any]:
        async with self._session.get(f"{self._url}/v1/tasks/{task_id}") as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def counts(self) -> dict[str, int]:
        async with self._session.get(self._url + "/v1/tasks?limit=1") as response:
            return dict((await response.json())["counts"])

    async def events(self) -> list[dict[str, Any]]:
        async with self._session.get(self._url + "/v1/events?limit=1000&topic=tasks") as response:
            return [entry["event"] for entry in (await response.json())["events"]]

    async def until_ended(self, tasks: int, within: float = BOUND) -> None:
        async def ended() -> bool:
            counts = await self.counts()
            return counts["succeeded"] + counts["failed"] + counts["abandoned"] == tasks

        await until(ended, within)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def test_tasks_whose_webhooks_never_come_end_by_polling(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """A user whose webhook is lost would wait for the picture forever."""
    async with (
        Simulator(Options(queue_seconds=0.1, run_seconds=0.3)) as upstream,
        running(tmp_path, reconcile=SWIFT, upstream={"base_url": upstream.url}) as relay,
    ):
        caller = Caller(session, relay.url)
        through = [await caller.submit(relay.url, f"/v3/async/{kind}") for kind in ("txt2img", "txt2video") * 10]
        elsewhere = [await caller.submit(upstream.url) for _ in range(5)]
        assert [await caller.watch(task_id) for task_id in elsewhere] == [201] * 5
        await caller.until_ended(25)
        events = await caller.events()
        endings = [event["subject"] for event in events if event["type"] != "relay.task.submitted"]
        assert sorted(endings) == sorted(through + elsewhere)
        shown = await caller.task(through[0])
        assert (shown["state"], shown["task_type"]) == ("succeeded", "TXT_TO_IMG")
        assert [entry["event"]["type"] for entry in shown["events"]] == ["relay.task.submitted", "relay.task.succeeded"]


async def test_a_task_that_nobody_knows_is_abandoned(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """A slip in an id would be polled for a day."""
    async with (
        Simulator(Options()) as upstream,
        running(tmp_path, reconcile=SWIFT, upstream={"base_url": upstream.url}) as relay,
    ):
        caller = Caller(session, relay.url)
        assert await caller.watch("nobody") == 201
        await caller.until_ended(1)
        shown = await caller.task("nobody")
        assert (shown["state"], shown["reason"]) == ("abandoned", "unknown_task")


async def test_the_relays_key_goes_with_its_polls(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """The upstream would refuse every poll, or the key stand in a log."""
    key = "sk-upstream-0123456789abcdef"
    guarded = {"clients": {"web": {"key": "web-key-0123456789abcdef0123"}}}
    async with (
        Simulator(Options(queue_seconds=0.0, run_seconds=0.1, api_keys=(key,))) as upstream,
        running(tmp_path, reconcile=SWIFT, upstream={"base_url": upstream.url, "api_key": key}, proxy=guarded) as relay,
    ):
        headers = {"Authorization": "Bearer web-key-0123456789abcdef0123"}
        async with session.post(relay.url + "/v3/async/txt2img", json=PROMPT, headers=headers) as response:
            assert response.status == 200
        await Caller(session, relay.url).until_ended(1)


async def test_a_missing_key_pauses_polling_and_ends_nothing(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """A wrong key would cost every task that is under way."""
    async with (
        Simulator(Options(api_keys=("sk-1",))) as upstream,
        running(tmp_path, reconcile=SWIFT, upstream={"base_url": upstream.url}) as relay,
    ):
        caller = Caller(session, relay.url)
        await caller.watch("t1")

        def value(name: str, **labels: str) -> float | None:
            return relay.telemetry.metrics.registry.get_sample_value(name, labels)

        async def refused() -> bool:
            return bool(value("relay_polls_total", result="unauthorized"))

        await until(refused)
        assert value("relay_upstream_up") == 0
        assert (await caller.task("t1"))["state"] == "submitted"


@asynccontextmanager
async def processes(tmp_path: Path) -> AsyncIterator[tuple[RelayProcess, int]]:
    """A relay in its own process, and the port at which its upstream may be."""
    port = free_port()
    upstream = {"base_url": f"http://127.0.0.1:{port}"}
    relay = RelayProcess(tmp_path, upstream=upstream, reconcile=SWIFT | {"max_rate": 20}, log={"level": "debug"})
    await relay.start()
    try:
        yield relay, port
    finally:
        relay.kill()


async def test_a_kill_and_an_outage_lose_no_task_and_burst_at_nobody(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """After a crash or an outage tasks would be forgotten, end twice, or all be polled at once."""
    async with processes(tmp_path) as (relay, port):
        caller = Caller(session, relay.url)
        options = Options(port=port, queue_seconds=0.0, run_seconds=0.2, seed=7)
        async with Simulator(options) as upstream:
            tasks = [await caller.submit(relay.url) for _ in range(60)]
            records = upstream.ledger
            relay.kill()
            await asyncio.sleep(1.0)  # all of them fall due meanwhile
            await relay.start()

            async def some_ended() -> bool:
                return (await caller.counts())["succeeded"] >= 10

            await until(some_ended)
        relay.kill()
        await relay.start()  # while the upstream is away

        async def noticed() -> bool:
            return await relay.metric("relay_polls_total", result="unreachable") > 0

        await until(noticed)
        assert await relay.metric("relay_upstream_up") == 0
        again = Simulator(options)
        again.ledger = records
        loop = asyncio.get_running_loop()
        async with again:
            began, known = loop.time(), (await caller.counts())["succeeded"]
            await caller.until_ended(60)
            took = loop.time() - began
        assert took >= (60 - known) / 20 - 1.0
        endings = [event["subject"] for event in await caller.events() if event["type"] == "relay.task.succeeded"]
        assert sorted(endings) == sorted(tasks)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay", *arguments], capture_output=True, text=True, timeout=BOUND, check=False
    )


async def test_the_command_lists_tasks(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """An operator would have to write HTTP by hand to see what hangs."""
    async with (
        Simulator(Options(queue_seconds=0.0, run_seconds=60.0)) as upstream,
        running(tmp_path, upstream={"base_url": upstream.url}) as relay,
    ):
        caller = Caller(session, relay.url)
        first, second = [await caller.submit(relay.url) for _ in range(2)]

        async def shown(*arguments: str) -> subprocess.CompletedProcess[str]:
            return await asyncio.to_thread(run, "tasks", "--url", relay.url, *arguments)

        listed = await shown()
        assert listed.returncode == 0, listed.stderr
        head, *rows = listed.stdout.splitlines()
        assert head.split("\t")[:4] == ["TASK", "TYPE", "STATE", "VIA"]
        assert [row.split("\t")[0] for row in rows] == [second, first]
        assert "2 shown; submitted or watched: 2 submitted." in listed.stderr
        document = json.loads((await shown("--json", "--state", "all", "--limit", "1")).stdout)
        assert [task["task_id"] for task in document["tasks"]] == [second]
        assert document["counts"]["submitted"] == 2
        none = await shown("--type", "UPSCALE")
        assert (none.returncode, none.stdout) == (0, "")
