"""P10: every output ends once, whatever becomes of its source, its link, the store and the relay."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import obstore
import pytest
from obstore.store import LocalStore, S3Store

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from relay.simulator.tasks.ledger import Ledger
from relay.simulator.tasks.outputs import content
from relay.simulator.tasks.task import SUCCEED
from tests.faults.harness.matrix import Effort, Row
from tests.services.relay import RelayProcess
from tests.services.seaweedfs import SeaweedFS, seaweedfs

Store = LocalStore | S3Store
MIB_MOST = 200
_SMALLEST = 10_000
_SUBMISSION = {"request": {"prompt": "kite", "model_name": "m", "width": 64, "height": 64, "image_num": 1}}


def directives(dice: random.Random, largest: int) -> str:
    """What a task asks of its output: mostly small, one of ten broken at first, one of ten with a link of seconds."""
    size = round(_SMALLEST * (largest / _SMALLEST) ** (dice.random() ** 20))
    broken = f", output-broken={dice.randint(1, 3)}" if dice.random() < 0.1 else ""
    short = ", short-links=3s" if dice.random() < 0.1 else ""
    return f"output-size={size}{broken}{short}"


async def submit(relay: RelayProcess, asked: list[str], rate: float) -> None:
    """Submits a task for each of these directives; again, where the relay is away."""
    async with aiohttp.ClientSession() as session:
        for directive in asked:
            while True:
                try:
                    async with session.post(
                        f"{relay.url}/v3/async/txt2img", json=_SUBMISSION, headers={"X-Simulate": directive}
                    ) as response:
                        if response.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)
            await asyncio.sleep(1 / rate)


async def outputs_of(relay: RelayProcess) -> list[dict[str, Any]]:
    """The events of all outputs, in order."""
    found: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as session:
        after = 0
        while True:
            query = {"topic": "outputs", "after": str(after), "limit": "1000"}
            async with session.get(f"{relay.url}/v1/events", params=query) as response:
                page = await response.json()
            found += [entry["event"] for entry in page["events"]]
            if page["next"] == after:
                return found
            after = page["next"]


def expected(ledger: Ledger) -> dict[tuple[str, int], tuple[int, str]]:
    """The size and the hash of each output that the simulator made, by task and index."""
    made: dict[tuple[str, int], tuple[int, str]] = {}
    for task in ledger.tasks():
        if task.life.ends_in == SUCCEED:
            digest = hashlib.sha256()
            for block in content(f"{task.task_id}-0.{task.asked.format}", task.fate.output_size):
                digest.update(block)
            made[task.task_id, 0] = task.fate.output_size, digest.hexdigest()
    return made


async def stored(place: Store, key: str) -> tuple[int, str]:
    """The size and the hash of an object, read through a client of its own."""
    digest, size = hashlib.sha256(), 0
    async for chunk in (await obstore.get_async(place, key)).stream():
        digest.update(bytes(chunk))
        size += len(chunk)
    return size, digest.hexdigest()


def most_memory(relay: RelayProcess) -> float:
    """MiB that the process under way has had at most."""
    lines = Path(f"/proc/{relay.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


async def trouble(relay: RelayProcess, server: SeaweedFS | None, row: Row, kills: int, outage: float) -> float:
    """The relay is killed again and again, and the store is killed meanwhile, and away. Answers the most memory."""
    dice, most = random.Random(row.seed), 0.0
    for number in range(kills):
        if server is not None and number == kills // 2:
            await server.kill()
            row.injected(f"store down for {outage:g} s")
        await asyncio.sleep(dice.uniform(0.5, 1.5))
        most = max(most, most_memory(relay))
        await asyncio.to_thread(relay.kill)
        row.injected("kill -9")
        await relay.start()
    if server is not None:
        await asyncio.sleep(outage)
        await server.start()
    return most


async def until_all_have_ended(relay: RelayProcess, tasks: int, within: float) -> None:
    async with asyncio.timeout(within):
        while await relay.metric("relay_tasks_pending") or await relay.metric("relay_outputs_waiting"):
            await asyncio.sleep(0.25)
        while len(await outputs_of(relay)) < tasks:
            await asyncio.sleep(0.25)


async def judged(relay: RelayProcess, ledger: Ledger, place: Store, row: Row) -> None:
    """Demands that each output has ended once, archived, and that the store has it whole."""
    events, made = await outputs_of(relay), expected(ledger)
    ended = Counter((event["subject"], event["data"]["index"]) for event in events)
    row.counted(acknowledged=len(made), lost=len(made.keys() - ended.keys()), repeated=ended.total() - len(ended))
    assert ended == Counter(dict.fromkeys(made, 1))
    for event in events:
        data = event["data"]
        assert event["type"] == "relay.output.archived", data
        whole = made[event["subject"], data["index"]]
        assert (data["size"], data["sha256"]) == whole, data
        assert await stored(place, data["store_key"]) == whole, data


async def every_output_ends(
    directory: Path, place: Store, server: SeaweedFS | None, archive: dict[str, Any], row: Row, effort: Effort
) -> None:
    """The load, the trouble, and the verdict."""
    count, rate = effort(short=80, full=5000, long=5000), float(effort(short=40, full=60, long=60))
    largest = effort(short=6_000_000, full=200_000_000, long=200_000_000)
    kills, outage = effort(short=2, full=5, long=5), float(effort(short=2, full=60, long=60))
    dice = random.Random(row.seed)
    row.load = f"{count} outputs up to {largest // 1_000_000} MB, {rate:g}/s"
    async with Simulator(Options(seed=row.seed, queue_seconds=0.1, run_seconds=0.2)) as simulator:
        archive = {**archive, "allow_hosts": [simulator.url]}
        relay = RelayProcess(directory, public=True, upstream={"base_url": simulator.url}, archive=archive)
        try:
            await relay.start()
            async with asyncio.TaskGroup() as group:
                group.create_task(submit(relay, [directives(dice, largest) for _ in range(count)], rate))
                troubled = group.create_task(trouble(relay, server, row, kills, outage))
            await until_all_have_ended(relay, len(simulator.ledger.tasks()), within=120 + count)
            most = max(troubled.result(), most_memory(relay))
            await judged(relay, simulator.ledger, place, row)
            assert await relay.stop() == 0
        finally:
            relay.kill()
    row.notes.append(f"memory {most:.0f} MiB at most")
    assert not effort.timed or most < MIB_MOST


@pytest.mark.row("O1", "every output ends, in a folder")
async def test_every_output_ends_once_and_whole_in_a_folder(tmp_path: Path, row: Row, effort: Effort) -> None:
    """Broken: P10. A source fails, links end, the relay is killed: an output is lost, repeated, or cut."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    await every_output_ends(tmp_path / "relay", LocalStore(folder), None, {"url": folder.as_uri()}, row, effort)


@pytest.mark.matrix  # the server takes half a minute to start again
@pytest.mark.row("O2", "every output ends, in a bucket that is away for a while")
async def test_every_output_ends_once_and_whole_in_a_bucket(tmp_path: Path, row: Row, effort: Effort) -> None:
    """Broken: P10. The store is killed as well, in the middle of uploads: an output is lost, repeated, or cut."""
    async with seaweedfs(tmp_path / "store") as server:
        secrets = {name: server.options[name] for name in ("access_key_id", "secret_access_key")}
        options = {name: value for name, value in server.options.items() if name not in secrets}
        archive = {"url": "s3://outputs/kept", "options": options, "secrets": secrets}
        place = S3Store("outputs", prefix="kept", **server.options, client_options={"allow_http": True})
        await every_output_ends(tmp_path / "relay", place, server, archive, row, effort)
