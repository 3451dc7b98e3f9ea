"""`relay status`, `relay chats` and `relay show` beside a relay that somebody uses."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.integration.terminal import on_terminal
from tests.integration.test_cli import UNREADABLE, post, run
from tests.integration.test_task_registry import PROMPT
from tests.services.redis import RedisProcess
from tests.services.relay import RelayProcess

MODEL = "deepseek/deepseek-v3.1"
CHAT = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "how high does a kite fly?"}]}


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayProcess]:
    """One without a sink, with a simulated upstream behind it."""
    async with Simulator(Options(queue_seconds=0.0, run_seconds=0.1)) as upstream:
        process = RelayProcess(tmp_path, public=True, upstream={"base_url": upstream.url})
        await process.start()
        try:
            yield process
        finally:
            process.kill()


async def asked(relay: RelayProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command beside this relay."""
    return await asyncio.to_thread(run, *arguments, "--config", relay.config)


async def used(relay: RelayProcess) -> tuple[str, str]:
    """A task and a chat of this relay, both over: their ids."""
    async with aiohttp.ClientSession() as session:
        async with session.post(relay.url + "/v3/async/txt2img", json=PROMPT) as response:
            task_id = str((await response.json())["task_id"])
        async with session.post(relay.url + "/openai/v1/chat/completions", json=CHAT) as response:
            chat_id = response.headers["X-Relay-Chat-Id"]
            await response.read()
        for subject in (task_id, chat_id):
            await _over(session, relay, subject)
    return task_id, chat_id


async def _over(session: aiohttp.ClientSession, relay: RelayProcess, subject: str) -> None:
    ends = {"relay.task.succeeded", "relay.chat.completed"}
    async with asyncio.timeout(60):
        while True:
            async with session.get(f"{relay.url}/v1/events?subject={subject}") as response:
                if ends & {each["event"]["type"] for each in (await response.json())["events"]}:
                    return
            await asyncio.sleep(0.05)


async def test_a_relay_that_is_well_says_so(relay: RelayProcess) -> None:
    """A script that waits for a relay, or an operator in a hurry, would have to read metrics."""
    shown = await asked(relay, "status")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("ok       relay: accepts deliveries")
    assert f"test-relay, 0.1.0, at {relay.url}, up for " in shown.stdout
    assert "No sink is configured" in shown.stdout
    document = json.loads((await asked(relay, "status", "--json")).stdout)
    assert (document["ok"], document["findings"]) == (True, [])
    assert document["status"]["ready"]["ok"]


async def test_dead_letters_are_a_warning_and_a_relay_that_is_gone_a_failure(relay: RelayProcess) -> None:
    """A monitor would page somebody for one delivery that cannot be read, or be silent about a dead relay."""
    await post(relay, UNREADABLE)
    shown = await asked(relay, "status")
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[0].startswith("warning  dead letters: 1 to replay")
    relay.kill()
    gone = await asked(relay, "status")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "cannot be reached: Connection refused." in gone.stderr


async def test_a_sink_that_is_down_comes_first_and_fails(redis_process: RedisProcess, tmp_path: Path) -> None:
    """A sink would be down for days while the status looks well."""
    server = redis_process()
    await server.start()
    relay = RelayProcess(tmp_path, sinks=[{"type": "redis", "name": "events", "url": server.url}])
    await relay.start()
    try:
        await post(relay, UNREADABLE)
        await relay.until_drained()
        well = await asked(relay, "status")
        assert (well.returncode, well.stdout.splitlines()[-1].split("\t")[:3]) == (0, ["events", "up", "none"])
        server.stop()
        async with asyncio.timeout(60):
            while (shown := await asked(relay, "status")).returncode == 0:
                await asyncio.sleep(0.1)
        first, hint, warning, *_ = shown.stdout.splitlines()
        assert first.startswith("failed   sink events: ")
        assert hint.strip()
        assert warning.startswith("warning  dead letters")
        assert "events\tdown\t" in shown.stdout
    finally:
        relay.kill()


async def test_chats_are_listed_by_state_model_and_time(relay: RelayProcess) -> None:
    """Somebody who looks for a chat that failed would page through all of them."""
    _, chat_id = await used(relay)
    listed = await asked(relay, "chats")
    heads, row = (line.split("\t") for line in listed.stdout.splitlines())
    assert heads == ["CHAT", "API", "MODEL", "CLIENT", "STATE", "AGE", "DURATION", "TOKENS", "NOTE"]
    assert [row[0], *row[1:3], row[4]] == [chat_id, "chat_completions", MODEL, "completed"]
    assert listed.stderr == "1 shown.\n"
    for chosen in (
        ("--state", "completed"),
        ("--model", MODEL),
        ("--api", "chat_completions"),
        ("--since", "1h"),
        ("--state", "ended", "--limit", "1"),
    ):
        found = json.loads((await asked(relay, "chats", "--json", *chosen)).stdout)["chats"]
        assert [chat["chat_id"] for chat in found] == [chat_id], chosen
    for other in (("--state", "failed"), ("--api", "messages"), ("--model", "x"), ("--client", "x"), ("--until", "1h")):
        assert json.loads((await asked(relay, "chats", "--json", *other)).stdout)["chats"] == [], other


async def test_a_task_and_a_chat_are_shown_with_all_about_them(relay: RelayProcess) -> None:
    """What happened to one request would have to be put together from events, tasks and dead letters."""
    task_id, chat_id = await used(relay)
    task = await asked(relay, "show", task_id)
    assert task.returncode == 0, task.stderr
    assert task.stdout.startswith(f"task       {task_id}\nstate      succeeded\n")
    assert "\nimage      http" in task.stdout
    assert "relay.task.submitted" in task.stdout
    chat = await asked(relay, "show", chat_id)
    assert chat.stdout.startswith(f"chat         {chat_id}\nstate        completed\n")
    assert "\ntext         " in chat.stdout
    assert " chunks " in chat.stdout
    document = json.loads((await asked(relay, "show", chat_id[:8], "--json")).stdout)
    assert (document["subject"], document["kind"]) == (chat_id, "chat")
    unknown = await asked(relay, "show", "nobody")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "No task, chat or delivery has the id nobody" in unknown.stderr


async def test_a_table_keeps_ids_whole_on_any_terminal(relay: RelayProcess) -> None:
    """An id that is cut cannot be copied into the next command."""
    task_id, chat_id = await used(relay)
    for columns in (40, 80, 200):
        tasks = await asyncio.to_thread(
            on_terminal, "tasks", "--state", "all", "--config", relay.config, columns=columns
        )
        chats = await asyncio.to_thread(on_terminal, "chats", "--config", relay.config, columns=columns)
        assert task_id in tasks.text
        assert chat_id in chats.text
        assert max(map(len, (tasks.text + chats.text).splitlines())) <= max(columns, 60)
