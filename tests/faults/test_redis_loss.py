"""R6: Redis loses what it had acknowledged, forgets its scripts, or has no memory left. The relay makes it good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Own, Proxied
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.targets import on_redis
from tests.faults.harness.trial import Trial
from tests.services.redis import RedisProcess, RedisServer, until

RATE = 300
LOST = 500
MADE_GOOD = "sink lost acknowledged events, publishing them again"


async def cli(server: RedisServer, *command: str) -> bytes:
    """One command, by redis-cli."""
    return await asyncio.to_thread(server.cli, *command)


@asynccontextmanager
async def failing(trial: Trial, code: str | None = None) -> AsyncIterator[None]:
    """Returns when the relay has met this failure, or any, since what is done within began.

    To begin to count only afterwards would be to wait for a second failure where the relay was fast.
    """
    labels = {"code": code} if code else {}
    before = await trial.relay.metric("relay_publish_failures_total", **labels)
    yield
    async with asyncio.timeout(60):
        while await trial.relay.metric("relay_publish_failures_total", **labels) == before:
            await asyncio.sleep(0.02)


async def crash(server: RedisServer) -> None:
    """Redis dies and comes back with what its dump holds."""
    await asyncio.to_thread(server.kill)
    await server.start()


async def reload(server: RedisServer) -> None:
    """Redis goes back to its dump under open connections, as behind a balancer that fails over: nobody reconnects."""
    await cli(server, "DEBUG", "RELOAD", "NOSAVE")


@pytest.mark.row("R6", "Redis loads an older dump")
@pytest.mark.parametrize("go_back", [crash, reload])
async def test_an_older_dump_gets_again_what_it_lacks(
    go_back: Callable[[RedisServer], Awaitable[None]],
    redis_process: RedisProcess,
    tmp_path: Path,
    row: Row,
    effort: Effort,
) -> None:
    """Broken: events that Redis acknowledged and lost would stay lost, or the rest would be doubled."""
    server = redis_process("--appendonly", "no", "--enable-debug-command", "local")
    await server.start()
    async with Trial(tmp_path, on_redis(server.redis, "{relay}:", server), row=row, rate=RATE) as trial:
        for _ in range(effort(short=1, full=3)):
            await trial.published()
            await cli(server, "SAVE")
            await trial.published(LOST)
            trial.injected(f"older dump, {LOST} events behind")
            await go_back(server)
            await trial.published(LOST)
        await trial.conclude()
    assert trial.relay.log.read_text().count(MADE_GOOD) == row.faults.total()


@pytest.mark.row("R6", "a replica that lags is promoted")
async def test_a_promoted_replica_gets_again_what_it_lacks(
    proxied: Proxied, redis_process: RedisProcess, tmp_path: Path, row: Row
) -> None:
    """Broken: a failover that loses acknowledged writes would lose or double events."""
    behind_proxy, proxy = await proxied("redis")
    primary = behind_proxy.server
    assert isinstance(primary, RedisServer)
    replica = redis_process("--replicaof", "127.0.0.1", str(primary.port))
    await replica.start()
    await until(lambda: b"master_link_status:up" in replica.cli("INFO", "replication"))
    target = on_redis(replica.redis, "{relay}:", **{k: v for k, v in behind_proxy.sink.items() if k == "url"})
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        await trial.published(100)
        # From here on the primary is ahead. One that is only paused would read what waits for it before it is promoted.
        await cli(replica, "REPLICAOF", "NO", "ONE")
        await trial.published(LOST)
        trial.injected(f"failover with {LOST} events not replicated")
        await asyncio.to_thread(primary.kill)
        proxy.redirect(replica.port)
        await trial.published(LOST)
        await trial.conclude()
    assert trial.relay.log.read_text().count(MADE_GOOD) == 1


@pytest.mark.row("R6", "Redis is emptied")
@pytest.mark.parametrize("sink", [{}, {"shared_window": "1h"}], ids=["alone", "shared"])
async def test_an_emptied_redis_gets_everything_again(
    sink: dict[str, str], own: Own, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: what a FLUSHALL took away would stay lost although the journal has it, or come back twice."""
    target = await own("redis", **sink)
    assert isinstance(target.server, RedisServer)
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        for _ in range(effort(short=1, full=3)):
            await trial.published(LOST)
            trial.injected("FLUSHALL")
            await cli(target.server, "FLUSHALL")
            await trial.published(LOST)
        await trial.conclude()
    assert trial.relay.log.read_text().count(MADE_GOOD) == row.faults.total()


async def flush_scripts(trial: Trial, server: RedisServer) -> None:
    """The script cache is emptied, as by a restart, between two batches."""
    trial.injected("SCRIPT FLUSH")
    await cli(server, "SCRIPT", "FLUSH")
    await trial.published()


async def run_out_of_memory(trial: Trial, server: RedisServer) -> None:
    """No memory for a while."""
    trial.injected("OOM")
    async with failing(trial, "out_of_memory"):
        await cli(server, "CONFIG", "SET", "maxmemory", "1mb")
    await trial.acknowledged(100)
    await cli(server, "CONFIG", "SET", "maxmemory", "0")
    await trial.published()


@pytest.mark.row("R6", "Redis refuses")
@pytest.mark.parametrize("refuse", [flush_scripts, run_out_of_memory])
async def test_a_redis_that_refuses_for_a_while_loses_nothing(
    refuse: Callable[[Trial, RedisServer], Awaitable[None]], own: Own, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P2: a refusal in the middle of a batch would lose or double what it held."""
    target = await own("redis")
    assert isinstance(target.server, RedisServer)
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        await trial.published()
        for _ in range(effort(short=2, full=5)):
            await refuse(trial, target.server)
        await trial.conclude()
    assert set(trial.load.tally.answers) == {"200"}
