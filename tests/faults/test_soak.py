"""R24: hours in minutes: everything at once, over and over, and at the end nothing is lost, repeated or growing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.faults.conftest import Own
from tests.faults.harness.load import SIGNATURE
from tests.faults.harness.matrix import Row
from tests.faults.harness.oracle import Evidence, judge
from tests.faults.harness.soak import Sample, described, findings, sample, slope
from tests.faults.harness.streams import TERMINAL
from tests.faults.harness.task_load import Application, plans
from tests.faults.harness.task_oracle import TERMINAL as TASK_ENDS
from tests.faults.harness.trial import Trial
from tests.services.chat import Broken, chat_client
from tests.services.relay import TOKEN

WEBHOOKS, TASKS, CHATTERS, READERS = 60.0, 4.0, 12, 4
"""Deliveries and submissions a second, chats at a time, consumers at a time that read slowly."""
TOPICS = ("tasks", "chat", "chat-chunks", "dead-letters")
SETTINGS = {
    "journal": {"retention": "60s"},
    "dedup": {"window": "3m"},
    "reconcile": {"first_after": "3s", "every": "2s", "max_rate": 20, "concurrency": 8},
}
"""Short enough that what is kept stops growing within the warm-up."""


def test_a_slope_is_not_moved_by_a_few_outliers() -> None:
    """Broken: one burst would fail a soak, or hide a leak from it."""
    leaking = [(float(second), 100.0 + second / 60 + (1000.0 if second % 50 == 7 else 0.0)) for second in range(600)]
    assert slope(leaking) == pytest.approx(1.0, abs=0.05)
    flat = [Sample(at, 90e6, 50, 1e6, 1e6) for at in range(100)]
    assert findings(flat) == []
    assert len(findings([replace(each, rss=90e6 + 1e5 * each.at, descriptors=each.at) for each in flat])) == 2


def test_what_peers_keep_open_is_not_held_against_the_relay() -> None:
    """Broken: a pool that grows would fail a soak, or a connection that the relay never closes pass it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, here = server.getsockname()[1], Path(__file__)
        before = sample(os.getpid(), here, port).descriptors
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        with accepted:
            assert sample(os.getpid(), here, port).descriptors == before + 1, "the client's end, which is here as well"
            client.close()
            assert sample(os.getpid(), here, port).descriptors == before + 1, "the end that nobody closed"


@pytest.mark.soak
@pytest.mark.row("R24", "soak")
async def test_nothing_is_lost_repeated_or_growing_after_a_long_time(
    own: Own, tmp_path: Path, row: Row, pytestconfig: pytest.Config
) -> None:
    """Broken: a promise fails, or memory, descriptors or files grow, in a relay that has run for a while."""
    minutes = float(pytestconfig.getoption("--soak"))
    targets = [await own("kafka"), await own("redis")]
    row.load = f"{WEBHOOKS:g} webhooks/s, {TASKS:g} tasks/s, {CHATTERS} chats, {READERS} slow readers"
    async with Simulator(Options(seed=row.seed, queue_seconds=0.2, run_seconds=0.6)) as simulator:
        trial = Trial(
            tmp_path, *targets, row=row, rate=WEBHOOKS, public=True, upstream={"base_url": simulator.url}, **SETTINGS
        )
        application = Application(
            lambda: trial.relay.url, plans(round(TASKS * (minutes * 60 - 20)), row.seed, "5s"), TASKS
        )
        async with trial:
            over = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(application.run())
                for number in range(CHATTERS):
                    group.create_task(chat_until(trial, over, random.Random(row.seed + number)))
                readers = [group.create_task(read_slowly(trial)) for _ in range(READERS)]
                samples = await troubles(trial, minutes)
                over.set()
                for reader in readers:
                    reader.cancel()
            await asyncio.wait_for(ended(trial), 120)
            await conclude(trial, application)
    row.notes.append(described(samples))
    assert findings(samples) == []


async def troubles(trial: Trial, minutes: float) -> list[Sample]:
    """Kills and outages for two thirds of the time, outages only for the rest; the samples of the last process.

    Its first quarter is its warm-up: what it keeps is still filling up.
    """
    loop = asyncio.get_running_loop()
    begin, end = loop.time(), loop.time() + minutes * 60
    killing_until, dice = begin + minutes * 40, random.Random(trial.row.seed)
    step = max(10.0, minutes * 60 / 30)
    for outage in itertools.cycle((kill_relay, kill_broker, hang_broker, kill_relay, kill_broker)):
        if loop.time() + step >= killing_until:
            break
        await asyncio.sleep(step * dice.uniform(0.5, 1.0))
        await outage(trial, dice)
    samples: list[Sample] = []
    async with asyncio.TaskGroup() as group:
        sampling = group.create_task(sample_until(trial, end, samples))
        while loop.time() + step < end - 20:
            await asyncio.sleep(step * dice.uniform(0.5, 1.0))
            await dice.choice((kill_broker, hang_broker))(trial, dice)
        await sampling
    return samples[len(samples) // 4 :]


async def sample_until(trial: Trial, end: float, samples: list[Sample]) -> None:
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(2.0)
        relay = trial.relay
        samples.append(sample(relay.pid, relay.directory / "relay.db", relay.port, relay.admin_port))


async def kill_relay(trial: Trial, dice: random.Random) -> None:
    await trial.kill()
    await trial.restart()


async def kill_broker(trial: Trial, dice: random.Random) -> None:
    target = dice.choice(trial.targets)
    assert target.server is not None
    trial.injected(f"kill -9 of {target.label}")
    await asyncio.to_thread(target.server.kill)
    await asyncio.sleep(dice.uniform(0.5, 8.0))
    await target.server.start()


async def hang_broker(trial: Trial, dice: random.Random) -> None:
    target = dice.choice(trial.targets)
    assert target.server is not None
    trial.injected(f"SIGSTOP of {target.label}")
    target.server.pause()
    try:
        await asyncio.sleep(dice.uniform(0.5, 8.0))
    finally:
        target.server.resume()


async def chat_until(trial: Trial, over: asyncio.Event, dice: random.Random) -> None:
    """Chats, some of which their client leaves; whatever a kill breaks is started over."""
    while not over.is_set():
        try:
            async with chat_client(trial.relay.url) as client:
                await client.ask({"X-Simulate": f"chunks={dice.randrange(5, 80)}, pace=20ms"})
                await client.head()
                leaves = dice.random() < 0.1
                async for _ in client.pieces():
                    if leaves and len(client.body) > 2000:
                        break
        except (Broken, OSError, TimeoutError, ValueError, IndexError):
            await asyncio.sleep(0.5)


async def read_slowly(trial: Trial) -> None:
    """Follows the events at a few kilobytes a second, again and again from the beginning."""
    headers = {"Accept": "text/event-stream"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), read_bufsize=4096) as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with session.get(f"{trial.relay.url}/v1/events?after=0", headers=headers) as response:
                    async for _ in response.content.iter_chunked(4096):
                        await asyncio.sleep(0.5)
            await asyncio.sleep(1.0)


async def ended(trial: Trial) -> None:
    """Returns when no task and no chat is open and every sink has everything."""
    await trial.load.stop()
    while await trial.relay.metric("relay_tasks_pending"):
        await asyncio.sleep(0.5)
    while await trial.relay.metric("relay_chats_active"):
        await asyncio.sleep(0.5)
    await trial.relay.until_drained(60)


async def conclude(trial: Trial, application: Application) -> None:
    """The oracle's judgement over all topics, and one ending for each task and each chat, on each sink."""
    balances = await trial.balances()
    outputs = await trial.stopped()
    acknowledged = trial.load.record.read()
    for target, balance in zip(trial.targets, balances, strict=True):
        seen = await target.read(*TOPICS)
        # The journal has pruned most of it, so that what it still holds says nothing of the balance.
        whole = replace(balance, held=balance.accepted)
        evidence = Evidence(acknowledged, seen, whole, outputs=outputs, secrets=[TOKEN], presigned=[SIGNATURE])
        verdict = judge(evidence)
        trial.row.judged(verdict, len(acknowledged.ids))
        print(f"{target.label}: {verdict}")
        assert verdict.holds, verdict
        ends = Counter(event.subject for event in seen if event.type in ENDS)
        begun = {event.subject for event in seen if event.type == "relay.chat.started"}
        unended = [subject for subject in begun | application.submitted.answered.keys() if ends[subject] != 1]
        assert unended == [], f"{len(unended)} tasks and chats without exactly one ending on {target.label}"


ENDS = TERMINAL | {f"relay.task.{end}" for end in TASK_ENDS}
