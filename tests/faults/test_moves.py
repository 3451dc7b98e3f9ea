"""R21: a relay's name, its journal's volume or its sinks change: no sink gets an event twice for that, or misses it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Own, Shared
from tests.faults.harness.load import Load
from tests.faults.harness.matrix import Row
from tests.faults.harness.oracle import Evidence, judge
from tests.faults.harness.targets import KAFKA_LATER, Target
from tests.faults.harness.trial import Trial
from tests.services.redis import RedisServer
from tests.services.relay import RelayProcess

RATE = 100
MOVED = 60
"""2xx between two changes."""
MAY_WAIT = 1500
EACH_ONCE = {"twice": 0.0, "contradicting": 0.0}
"""A journal that is new, or another, does not know the deliveries of before."""

End = Callable[[Trial], Awaitable[Any]]


async def stopped(trial: Trial) -> None:
    """An orderly end."""
    trial.injected("orderly end")
    assert await trial.relay.stop() == 0


async def killed(trial: Trial) -> None:
    """``kill -9``."""
    await trial.kill()


@pytest.mark.row("R21", "identity changed")
@pytest.mark.parametrize(
    ("kind", "end"),
    [
        pytest.param("kafka", stopped, id="kafka-stopped", marks=pytest.mark.matrix),
        pytest.param("kafka", killed, id="kafka-killed"),
        pytest.param("redis", stopped, id="redis-stopped"),
        pytest.param("redis", killed, id="redis-killed", marks=pytest.mark.matrix),
        pytest.param("kafka-3.9", stopped, id="kafka-3.9-stopped", marks=pytest.mark.long),
        pytest.param("kafka-3.9", killed, id="kafka-3.9-killed", marks=pytest.mark.long),
    ],
)
async def test_a_relay_that_gets_another_name_goes_on(
    kind: str, end: End, shared: Shared, tmp_path: Path, row: Row
) -> None:
    """Broken: P2: a container that is made again, with another host name, publishes everything in its volume again."""
    async with Trial(tmp_path, shared(kind), row=row, rate=RATE) as trial:
        for name in ("host-2", "host-3", "host-2", "test-relay"):
            await trial.published(MOVED)
            await end(trial)
            trial.injected("identity changed")
            trial.relay.configure(identity=name)
            await trial.restart()
        await trial.published(MOVED)
        await trial.conclude()


@pytest.mark.row("R21", "sinks renamed")
@pytest.mark.parametrize("kind", [KAFKA_LATER, "redis"])
async def test_a_sink_that_gets_another_name_goes_on(kind: str, shared: Shared, tmp_path: Path, row: Row) -> None:
    """Broken: P2: a new label for a sink, even if only a second one is added, publishes everything again."""
    target = shared(kind)
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        for name in ("main", kind, "other", "main"):
            await trial.published(MOVED)
            await killed(trial)
            trial.injected("sink renamed")
            target.sink["name"] = name
            trial.relay.configure(sinks=[target.sink])
            await trial.restart()
        await trial.published(MOVED)
        await trial.conclude()


@asynccontextmanager
async def two_replicas(tmp_path: Path, target: Target, row: Row) -> AsyncIterator[tuple[RelayProcess, RelayProcess]]:
    """One that runs, and one under another name that does not yet."""
    original, clone = (
        RelayProcess(tmp_path / name, sinks=[target.sink], identity=name) for name in ("replica-0", "replica-1")
    )
    row.load = f"{RATE}/s"
    await original.start()
    try:
        yield original, clone
    finally:
        original.kill()
        clone.kill()


def cloned(journal: Path, to: Path) -> None:
    """Copies a journal as a snapshot of its volume does: the file and its log."""
    for file in journal.glob("relay.db*"):
        shutil.copy(file, to / file.name)


async def acknowledged(load: Load, count: int) -> None:
    """Returns when this many further deliveries have their 2xx."""
    goal = load.record.count + count
    async with asyncio.timeout(60):
        while load.record.count < goal:
            await asyncio.sleep(0.01)


async def published(relay: RelayProcess) -> None:
    """Returns once the sink has something: a clone cannot be detected by a sink that knows nothing of the journal."""
    async with asyncio.timeout(60):
        while not await relay.metric("relay_published_total"):
            await asyncio.sleep(0.02)


@pytest.mark.row("R21", "volume cloned")
@pytest.mark.parametrize(
    ("kind", "backlog", "original_first"),
    [
        pytest.param("kafka", False, False, id="kafka-all published", marks=pytest.mark.matrix),
        pytest.param("kafka", True, False, id="kafka-a backlog, the clone first"),
        pytest.param("kafka", True, True, id="kafka-a backlog, the original first", marks=pytest.mark.matrix),
        pytest.param("redis", False, False, id="redis-all published"),
        pytest.param("redis", True, False, id="redis-a backlog, the clone first", marks=pytest.mark.matrix),
        pytest.param("redis", True, True, id="redis-a backlog, the original first"),
        pytest.param("kafka-3.9", False, False, id="kafka-3.9-all published", marks=pytest.mark.long),
        pytest.param("kafka-3.9", True, False, id="kafka-3.9-a backlog, the clone first", marks=pytest.mark.long),
        pytest.param("kafka-3.9", True, True, id="kafka-3.9-a backlog, the original first", marks=pytest.mark.long),
    ],
)
async def test_a_cloned_volume_and_its_original_both_go_on(
    kind: str, backlog: bool, original_first: bool, own: Own, tmp_path: Path, row: Row
) -> None:
    """Broken: P2: a volume that was cloned for another replica publishes again what the original has published."""
    target = await own(kind)
    assert target.server is not None
    async with two_replicas(tmp_path, target, row) as (original, clone):
        turn = [original]
        load = Load(
            lambda: turn[0].webhook_url, tmp_path / "record", rate=RATE, seed=row.seed, twice=0.0, contradicting=0.0
        )
        await load.start()
        await acknowledged(load, MOVED)
        await published(original)
        if backlog:
            target.server.pause()
            await acknowledged(load, MOVED)
        original.kill()
        row.injected("volume cloned")
        cloned(original.directory, clone.directory)
        first, second = (original, clone) if original_first else (clone, original)
        await first.start()
        turn[:] = [first]
        await acknowledged(load, MOVED)
        if backlog:
            target.server.resume()
        await second.start()
        for relay in (original, clone, original):
            turn[:] = [relay]
            await acknowledged(load, MOVED)
        await load.stop()
        for relay in (original, clone):
            await relay.until_drained()
            assert await relay.stop() == 0
        verdict = judge(Evidence(load.record.read(), await target.read()))
    row.judged(verdict, load.record.count)
    assert verdict.holds, verdict


@pytest.mark.row("R21", "volume away for one start")
async def test_a_volume_that_is_away_for_one_start_repeats_nothing(shared: Shared, tmp_path: Path, row: Row) -> None:
    """Broken: P2: a relay that was started once in the bare mount point publishes its journal again afterwards."""
    targets = [shared("kafka"), shared("redis")]
    volume, bare = tmp_path / "volume", tmp_path / "bare"
    async with Trial(tmp_path, *targets, row=row, rate=RATE, load=EACH_ONCE) as trial:
        for _ in range(2):
            await trial.published(MOVED)
            await trial.load.stop()  # a delivery whose 2xx got lost would come again, and the other journal not know it
            await killed(trial)
            trial.injected("volume away")
            swap(trial.relay.directory, away=volume, back=bare)
            await trial.restart()
            await trial.load.start()
            await trial.acknowledged(MOVED)
            await trial.load.stop()  # what this journal holds unpublished would stay there
            await trial.relay.until_drained()
            await killed(trial)
            swap(trial.relay.directory, away=bare, back=volume)
            await trial.restart()
            await trial.load.start()
        await trial.published(MOVED)
        await trial.load.stop()
        await trial.relay.until_drained()
        assert await trial.relay.stop() == 0
        for each in targets:
            verdict = judge(Evidence(trial.load.record.read(), await each.read()))
            row.judged(verdict, trial.load.record.count)
            assert verdict.holds, verdict


def swap(mounted: Path, away: Path, back: Path) -> None:
    """Another volume is mounted: the journal goes away, and another one comes back, or none."""
    away.mkdir(exist_ok=True)
    for file in mounted.glob("relay.db*"):
        shutil.move(file, away / file.name)
    for file in back.glob("relay.db*"):
        shutil.move(file, mounted / file.name)


async def flushed(server: RedisServer) -> None:
    """A Redis that loses all it has."""
    await asyncio.to_thread(server.cli, "FLUSHALL")


@pytest.mark.row("R21", "sink added, removed, returned, emptied")
async def test_a_sink_that_starts_behind_refuses_no_delivery(
    shared: Shared, own: Own, tmp_path: Path, row: Row
) -> None:
    """Broken: history that a sink catches up on counts as backlog: every delivery gets a 503 meanwhile, or for good."""
    first, second = shared("kafka"), await own("redis")
    assert isinstance(second.server, RedisServer)
    async with Trial(tmp_path, first, row=row, rate=3 * RATE, journal={"max_backlog": MAY_WAIT}) as trial:
        await trial.published(MAY_WAIT + RATE)
        trial.load.rate = RATE / 2  # what comes from now on stays far below it

        async def go_on_with(*sinks: dict[str, Any]) -> None:
            await killed(trial)
            trial.relay.configure(sinks=list(sinks))
            await trial.restart()
            await trial.acknowledged(MOVED)

        second.server.pause()  # what is to catch up stays behind for a while
        trial.injected("sink added")
        await go_on_with(first.sink, second.sink)
        await go_on_with(first.sink, second.sink)
        second.server.resume()
        await trial.acknowledged(MOVED)
        trial.injected("sink removed")
        await go_on_with(first.sink)
        trial.load.rate = 3 * RATE
        await trial.published(MAY_WAIT + RATE)
        trial.load.rate = RATE / 2
        second.server.pause()
        trial.injected("sink returned")
        await go_on_with(first.sink, second.sink)
        second.server.resume()
        await trial.acknowledged(MOVED)
        trial.injected("sink emptied")
        await flushed(second.server)
        await trial.acknowledged(MOVED)
        trial.targets = (first, second)
        await trial.conclude()
    assert "503" not in trial.load.tally.answers
