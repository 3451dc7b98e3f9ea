"""The console script as users run it, beside a real relay and on real journals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.journal.store import Store
from tests.services.ports import free_port
from tests.services.redis import Redis, RedisProcess
from tests.services.relay import RelayProcess

RELAY = str(Path(sys.executable).parent / "relay")
API_TOKEN = "api-token-of-enough-length-0123456789"
GOOD = {"task": {"task_id": "t-1", "task_type": "TXT_TO_IMG", "status": "TASK_STATUS_SUCCEED"}}
FAILED = {"task": {"task_id": "t-2", "status": "TASK_STATUS_FAILED", "reason": "too \x1b[31mred"}}
UNREADABLE = {"hello": "world"}
BOUND = 90.0


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("RELAY_")} | more


def run(*arguments: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the script to its end. Its standard input is no terminal."""
    return subprocess.run(
        [RELAY, *map(str, arguments)],
        cwd=cwd,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


@contextlib.contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The script under way; killed at the end if it still is."""
    process = subprocess.Popen(
        [RELAY, *map(str, arguments)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


async def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(BOUND):
        return await asyncio.to_thread(process.stdout.readline)


async def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and what it said on standard error."""
    _, output = await asyncio.to_thread(process.communicate, None, BOUND)
    return process.returncode, output


async def post(relay: RelayProcess, *documents: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as session:
        for document in documents:
            async with session.post(relay.webhook_url, json=document) as response:
                assert response.status == 200, await response.text()


@contextlib.asynccontextmanager
async def serving(directory: Path, redis: Redis | None = None) -> AsyncIterator[RelayProcess]:
    """A relay whose API asks for a token; two tasks have ended, and one delivery could not be read.

    With a Redis it has a sink there, which is called ``events``.
    """
    sinks = [{"type": "redis", "name": "events", "url": redis.url, "prefix": redis.prefix()}] if redis else []
    process = RelayProcess(directory, sinks=sinks, server={"api_tokens": [API_TOKEN]})
    await process.start()
    try:
        await post(process, GOOD, FAILED, UNREADABLE)
        yield process
    finally:
        process.kill()


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayProcess]:
    async with serving(tmp_path) as process:
        yield process


# tail -----------------------------------------------------------------------------------------------------------


async def test_tail_shows_people_what_is_there(relay: RelayProcess) -> None:
    """People could not see their events, or an upstream's text could take over their terminal."""
    shown = await asyncio.to_thread(run, "tail", "--config", relay.config, "--no-follow")
    assert shown.returncode == 0, shown.stderr
    good, failed, dead = shown.stdout.splitlines()
    assert "relay.task.succeeded   t-1  TXT_TO_IMG" in good
    assert failed.endswith("relay.task.failed      t-2  too  [31mred")
    assert "relay.delivery.dead" in dead
    assert "\x1b" not in shown.stdout


async def test_tail_in_json_is_one_cloudevent_per_line(relay: RelayProcess) -> None:
    """A script could not read the events, or a filter would let others through."""
    arguments = ("tail", "--config", relay.config, "--no-follow", "--json", "--subject", "t-2")
    shown = await asyncio.to_thread(run, *arguments)
    (event,) = map(json.loads, shown.stdout.splitlines())
    assert (event["specversion"], event["type"], event["subject"]) == ("1.0", "relay.task.failed", "t-2")
    shown = await asyncio.to_thread(run, "tail", "--config", relay.config, "--no-follow", "--json", "--after", "2")
    assert [json.loads(line)["type"] for line in shown.stdout.splitlines()] == ["relay.delivery.dead"]


async def test_tail_follows_through_a_restart_and_misses_nothing(relay: RelayProcess) -> None:
    """Watching users would lose events at each restart of the relay, or see some twice."""
    with started("tail", "--config", relay.config, "--from-start", "--topic", "tasks", "--json") as tail:
        assert json.loads(await read_line(tail))["subject"] == "t-1"
        assert json.loads(await read_line(tail))["subject"] == "t-2"
        relay.kill()
        await relay.start()
        await post(relay, {"task": {"task_id": "t-3", "status": "TASK_STATUS_SUCCEED"}})
        assert json.loads(await read_line(tail))["subject"] == "t-3"
        tail.send_signal(signal.SIGINT)
        code, output = await ended(tail)
    assert code == 0, "people end it by Ctrl-C"
    assert "next try in" in output
    assert "Traceback" not in output


async def test_tail_follows_from_the_newest_event_on(relay: RelayProcess) -> None:
    """Watching a relay that has run for days would begin with all of its history."""
    with started("tail", "--config", relay.config, "--json") as tail:
        line = asyncio.create_task(read_line(tail))
        number = 0
        while not line.done():  # its start cannot be seen from outside: send until something arrives
            number += 1
            await post(relay, {"task": {"task_id": f"new-{number}", "status": "TASK_STATUS_SUCCEED"}})
            await asyncio.wait({line}, timeout=0.1)
    assert json.loads(line.result())["subject"].startswith("new-")


async def test_tail_ends_quietly_when_nobody_reads_any_more(relay: RelayProcess) -> None:
    """`relay tail | head` would hang or end in a traceback."""
    with started("tail", "--config", relay.config, "--from-start") as tail:
        await read_line(tail)
        assert tail.stdout is not None
        tail.stdout.close()
        tail.stdout = None
        await post(relay, {"task": {"task_id": "t-9", "status": "TASK_STATUS_SUCCEED"}})
        code, output = await ended(tail)
    assert (code, output) == (0, "")


async def test_the_token_comes_from_where_it_is_given(relay: RelayProcess, tmp_path: Path) -> None:
    """A token could not be given without showing it to every user of the machine."""
    there = ("tail", "--no-follow", "--url", relay.url)
    token_file = tmp_path / "token"
    token_file.write_text(API_TOKEN + "\n")
    assert (await asyncio.to_thread(run, *there, RELAY_API_TOKEN=API_TOKEN)).returncode == 0
    assert (await asyncio.to_thread(run, *there, "--token-file", token_file)).returncode == 0
    for refused in (
        await asyncio.to_thread(run, *there),
        await asyncio.to_thread(run, *there, "--token", "wrong-token"),
        await asyncio.to_thread(run, "tail", "--from-start", "--url", relay.url, "--token", "wrong-token"),
    ):
        assert refused.returncode == 1
        assert "server.api_tokens" in refused.stderr
        assert "wrong-token" not in refused.stderr


def test_a_relay_that_does_not_run_is_reported_clearly(tmp_path: Path) -> None:
    """People would read a traceback about sockets."""
    port = free_port()
    for arguments in (["tail"], ["tail", "--from-start"], ["dead-letters", "list"]):
        result = run(*arguments, "--url", f"http://127.0.0.1:{port}", cwd=tmp_path)
        assert result.returncode == 1
        assert f"http://127.0.0.1:{port} cannot be reached: Connection refused." in result.stderr
        assert "Is it running?" in result.stderr
        assert result.stdout == ""


async def test_an_address_without_a_relays_api_is_reported(relay: RelayProcess) -> None:
    """Somebody who names the metrics port would not learn what is wrong."""
    result = await asyncio.to_thread(run, "tail", "--url", relay.admin_url)
    assert result.returncode == 1
    assert "relay:" in result.stderr
    assert "Traceback" not in result.stderr


# dead-letters ---------------------------------------------------------------------------------------------------


async def test_dead_letters_are_listed_shown_replayed_and_deleted(relay: RelayProcess) -> None:
    """What could not go on could not be inspected or cleared without curl."""

    async def letters(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(run, "dead-letters", *arguments, "--config", relay.config)

    heading, row = (await letters("list")).stdout.splitlines()
    assert heading.split("\t")[0] == "ID"
    dead_id = row.split("\t")[0]
    assert [each["id"] for each in json.loads((await letters("list", "--json")).stdout)["dead_letters"]] == [dead_id]
    assert '\n{"hello":"world"}\n' in (await letters("show", dead_id)).stdout
    assert json.loads(json.loads((await letters("show", dead_id, "--json")).stdout)["raw"]) == UNREADABLE
    replayed = await letters("replay", dead_id)
    assert replayed.returncode == 1
    assert "still cannot be read" in replayed.stderr
    unsure = await letters("delete", "--all")
    assert unsure.returncode == 2
    assert "--yes" in unsure.stderr
    deleted = await letters("delete", "--all", "--yes")
    assert (deleted.returncode, deleted.stdout) == (0, f"{dead_id}: deleted\n")
    gone = await letters("list")
    assert (gone.returncode, gone.stdout, gone.stderr) == (0, "", "No dead letters.\n")


async def test_one_letter_that_is_not_there_does_not_keep_the_others(relay: RelayProcess) -> None:
    """A list of ids with one typing mistake would be done in part, without saying which part."""
    listed = await asyncio.to_thread(run, "dead-letters", "list", "--json", "--config", relay.config)
    dead_id = json.loads(listed.stdout)["dead_letters"][0]["id"]
    result = await asyncio.to_thread(
        run, "dead-letters", "delete", "dead-nope", dead_id, "--json", "--config", relay.config
    )
    assert result.returncode == 1
    results = json.loads(result.stdout)["results"]
    assert [(each["status"], each.get("code")) for each in results] == [("failed", "not_found"), ("deleted", None)]
    shown = await asyncio.to_thread(run, "dead-letters", "show", dead_id, "--config", relay.config)
    assert shown.returncode == 1
    assert "No dead letter has this id." in shown.stderr


# journal --------------------------------------------------------------------------------------------------------


async def test_the_journal_is_looked_into_once_its_relay_has_stopped(relay: RelayProcess, tmp_path: Path) -> None:
    """Nobody could see what a stopped relay holds, or a running one's journal would be touched."""
    for command in ("stats", "verify", "export"):
        refused = await asyncio.to_thread(run, "journal", command, "--config", relay.config)
        assert refused.returncode == 1
        assert "in use by another process" in refused.stderr
        assert "GET /metrics" in refused.stderr
    await relay.stop()
    stats = json.loads((await asyncio.to_thread(run, "journal", "stats", "--json", "--config", relay.config)).stdout)
    assert (stats["events"], stats["dead_letters"], stats["dedup_keys"]) == (3, 1, 3)
    verified = await asyncio.to_thread(run, "journal", "verify", "--path", tmp_path / "relay.db")
    assert (verified.returncode, "nothing wrong" in verified.stdout) == (0, True)
    exported = await asyncio.to_thread(run, "journal", "export", "--config", relay.config)
    lines = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [(line["offset"], line["topic"]) for line in lines] == [(1, "tasks"), (2, "tasks"), (3, "dead-letters")]


async def test_the_journal_survives_a_kill_and_a_look(relay: RelayProcess, tmp_path: Path) -> None:
    """Looking at the journal of a relay that was killed would lose what is still in its WAL."""
    relay.kill()
    stats = json.loads((await asyncio.to_thread(run, "journal", "stats", "--json", "--config", relay.config)).stdout)
    assert stats["events"] == 3
    await relay.start()
    shown = await asyncio.to_thread(run, "tail", "--no-follow", "--config", relay.config)
    assert len(shown.stdout.splitlines()) == 3


def test_no_journal_is_made_where_there_is_none(tmp_path: Path) -> None:
    """A misspelt path would leave an empty journal behind, and look like a loss of everything."""
    for command in ("stats", "verify", "export"):
        result = run("journal", command, "--path", tmp_path / "x" / "relay.db", cwd=tmp_path)
        assert result.returncode == 1
        assert "There is no journal" in result.stderr
        assert run("journal", command, cwd=tmp_path).returncode == 1
    assert list(tmp_path.iterdir()) == []


def refused(tmp_path: Path, *before: str, **env: str) -> dict[str, str]:
    """What `relay serve` says as it ends, on a journal in the folder `volume`; ``before``: the program that runs it."""
    config = tmp_path / "relay.json"
    journal = {"path": str(tmp_path / "volume" / "relay.db")}
    config.write_text(json.dumps({"server": {"port": 0}, "admin": {"port": 0}, "journal": journal}))
    command = [*before, RELAY, "serve", "--config", str(config)]
    ended = subprocess.run(
        command, env=environment(**env), capture_output=True, text=True, timeout=BOUND, check=False, cwd=tmp_path
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    said: dict[str, str] = json.loads(ended.stderr.splitlines()[-1])
    return said


def test_a_journal_that_must_exist_is_not_made(tmp_path: Path) -> None:
    """A volume that is not mounted would be an empty journal: deliveries go where nobody looks for them."""
    said = refused(tmp_path, RELAY_JOURNAL__MUST_EXIST="true")
    assert said["code"] == "journal_missing"
    assert "RELAY_JOURNAL__MUST_EXIST=false" in said["hint"]
    assert not (tmp_path / "volume").exists()


def test_a_volume_that_is_mounted_read_only_is_named(tmp_path: Path) -> None:
    """An operator would look for a broken disk where a mount option is wrong."""
    (tmp_path / "volume").mkdir()
    mounted = 'mount -t tmpfs tmpfs volume && mount -o remount,ro volume && exec "$@"'
    said = refused(tmp_path, "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted, "sh")
    assert said["code"] == "journal_read_only"


def test_the_database_of_another_application_is_left_alone(tmp_path: Path) -> None:
    """A mistyped path would turn another application's database into a journal."""
    (tmp_path / "volume").mkdir()
    file = tmp_path / "volume" / "relay.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE notes (text)")
    before = file.read_bytes()
    assert refused(tmp_path)["code"] == "not_a_journal"
    assert file.read_bytes() == before


async def test_verify_fails_when_events_are_lost(relay: RelayProcess, tmp_path: Path) -> None:
    """The check that is run after an accident would find nothing."""
    await relay.stop()
    journal = sqlite3.connect(tmp_path / "relay.db")
    journal.execute("INSERT INTO checkpoints VALUES ('kafka', 1, 1, 0, 0, 0, 0)")
    journal.execute('DELETE FROM events WHERE "offset" = 2')
    journal.commit()
    journal.close()
    result = await asyncio.to_thread(run, "journal", "verify", "--path", tmp_path / "relay.db")
    assert result.returncode == 1
    assert "Sink kafka is at offset 1, and the events 2 to 2 are not in the journal." in result.stdout


async def test_an_export_overwrites_nothing(relay: RelayProcess, tmp_path: Path) -> None:
    """`relay journal export -o relay.db` would destroy the journal."""
    await relay.stop()
    path = tmp_path / "relay.db"
    refused = await asyncio.to_thread(run, "journal", "export", "--path", path, "--output", path)
    assert refused.returncode == 1
    assert "already exists" in refused.stderr
    output = tmp_path / "events.jsonl"
    done = await asyncio.to_thread(run, "journal", "export", "--path", path, "-o", output, "--topic", "tasks")
    assert (done.returncode, done.stdout) == (0, "")
    assert [json.loads(line)["subject"] for line in output.read_text().splitlines()] == ["t-1", "t-2"]


# configuration --------------------------------------------------------------------------------------------------


def test_every_problem_of_a_configuration_is_reported_with_its_line(tmp_path: Path) -> None:
    """Users could fix only one mistake of a configuration per start."""
    (tmp_path / "relay.yaml").write_text("server:\n  prot: 80\nsinks:\n  - {type: kafak}\n")
    for command in ("serve", "check"):
        result = run(command, cwd=tmp_path)  # ./relay.yaml is found by itself
        assert result.returncode == 78
        assert result.stdout == ""
        assert result.stderr.splitlines() == [
            "relay.yaml:2: server.prot: unknown key; did you mean 'port'?",
            "relay.yaml:4: sinks.0.type: unknown type of sink; did you mean 'kafka'?",
        ]
    named = run("check", cwd=tmp_path, RELAY_CONFIG="nowhere.yaml")
    assert (named.returncode, named.stderr) == (78, "nowhere.yaml: cannot be read: No such file or directory\n")


def test_check_says_what_is_worth_a_second_look(tmp_path: Path) -> None:
    """A token that can be guessed would go to production."""
    weak = {"RELAY_WEBHOOKS__NOVITA__TOKENS": "[abc]"}
    result = run("check", cwd=tmp_path, **weak)
    assert result.returncode == 0
    assert "webhooks.novita.tokens is easy to guess" in result.stdout
    assert "built-in defaults: valid" in result.stdout
    document = json.loads(run("check", "--json", cwd=tmp_path, **weak).stdout)
    assert document["ok"] is True
    assert len(document["warnings"]) == 1


async def test_check_disturbs_no_relay_that_is_running(redis_process: RedisProcess, tmp_path: Path) -> None:
    """Checking the configuration beside a running relay would fence it, and it would stop."""
    server = redis_process()
    await server.start()
    sinks = [{"type": "redis", "url": server.url}]
    relay = RelayProcess(tmp_path, sinks=sinks, dedup={"shared_index": server.url})
    await relay.start()
    try:
        await post(relay, GOOD)
        await relay.until_drained()
        checked = await asyncio.to_thread(
            run, "check", "--connect", "--json", "--config", relay.config, RELAY_UPSTREAM__BASE_URL=relay.admin_url
        )
        reached = {each["name"]: each for each in json.loads(checked.stdout)["reached"]}
        assert reached["sink redis"]["message"] == "opened as test-relay-check"
        assert reached["dedup.shared_index"]["ok"]
        assert checked.returncode == 0
        await post(relay, FAILED)
        await relay.until_drained()
        assert await relay.metric("relay_published_total", sink="redis") == 2
        server.stop()
        lost = await asyncio.to_thread(run, "check", "--connect", "--config", relay.config)
        assert lost.returncode == 1
        assert "failed   sink redis:" in lost.stdout
        assert "failed   dedup.shared_index:" in lost.stdout
    finally:
        relay.kill()


def test_what_libraries_log_is_no_output_of_a_command(tmp_path: Path) -> None:
    """Lines and tracebacks of aiokafka, asyncio and uvloop would stand beside what the command itself says."""
    with socket.socket() as taken:  # and does not listen
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        (tmp_path / "relay.yaml").write_text(f"sinks: [{{type: kafka, bootstrap_servers: 'localhost:{port}'}}]")
        result = run("check", "--connect", cwd=tmp_path, RELAY_UPSTREAM__BASE_URL=f"http://127.0.0.1:{port}")
    assert "failed   sink kafka:" in result.stdout
    assert result.stderr == ""


def test_a_journal_that_is_taken_keeps_a_second_relay_from_starting(tmp_path: Path) -> None:
    """Two relays would share a volume, or the second would end in a traceback."""
    journal = Store(tmp_path / "relay.db")
    result = run("serve", cwd=tmp_path, RELAY_JOURNAL__PATH="relay.db", RELAY_SERVER__PORT="0", RELAY_ADMIN__PORT="0")
    journal.close()
    assert result.returncode == 1
    assert json.loads(result.stderr.splitlines()[-1])["code"] == "journal_in_use"
    assert "Traceback" not in result.stderr


# simulate, demo -------------------------------------------------------------------------------------------------


async def test_the_simulator_runs_until_it_is_stopped(tmp_path: Path) -> None:
    """A staging relay would have no upstream to be pointed at; then `check --connect` finds it."""
    with started("simulate", "--port", "0", "--fault", "lost=1", "--json") as simulator:
        async with asyncio.timeout(BOUND):
            assert simulator.stdout is not None
            lines = [await read_line(simulator) for _ in range(4)]
        url = json.loads("".join(lines))["url"]
        port = url.rpartition(":")[2]
        taken = await asyncio.to_thread(run, "simulate", "--port", port)
        assert taken.returncode == 1
        assert f"Cannot listen on 127.0.0.1:{port}" in taken.stderr
        found = await asyncio.to_thread(run, "check", "--connect", cwd=tmp_path, RELAY_UPSTREAM__BASE_URL=url)
        assert (found.returncode, f"upstream: {url} answers" in found.stdout) == (0, True)
        simulator.terminate()
        code, output = await ended(simulator)
    assert (code, output) == (0, "")
    lost = await asyncio.to_thread(run, "check", "--connect", cwd=tmp_path, RELAY_UPSTREAM__BASE_URL=url)
    assert lost.returncode == 1
    assert "cannot be reached" in lost.stdout


async def test_a_demo_that_is_interrupted_at_once_claims_nothing() -> None:
    """A newcomer who presses Ctrl-C would read that every task has ended well, after nothing has happened."""
    with started("demo") as demo:
        assert (await read_line(demo)).startswith("Starting a relay and a simulated upstream")
        demo.send_signal(signal.SIGINT)
        shown, errors = await asyncio.to_thread(demo.communicate, None, BOUND)
    assert (demo.returncode, errors) == (1, "")
    assert "nothing was checked" in shown
    assert "exactly one terminal event" not in shown


async def test_the_demo_runs_from_the_command_line() -> None:
    """The first command of a newcomer would fail."""
    result = await asyncio.to_thread(run, "demo", "--once", "--tasks", "4", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["summary"]["good"] is True
    assert result.stderr == ""
