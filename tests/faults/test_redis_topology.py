"""R25 to R27, R37: another node is to be written to: a slot moves, a primary is replaced and knows it, or does not;
and the password is rotated meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from relay.core.event import TASKS, TOPICS
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.oracle import Seen
from tests.faults.harness.readers import read_redis
from tests.faults.harness.targets import Target, on_redis
from tests.faults.harness.trial import Trial
from tests.faults.test_credentials import reloaded
from tests.faults.test_redis_loss import failing
from tests.services.redis import (
    CLUSTERED,
    ON_BOTH,
    STUBBORN,
    RedisProcess,
    RedisServer,
    SentinelSet,
    add_replica,
    begin_move,
    finish_move,
    move_keys,
    owner_of,
    until,
)

RATE = 300
BETWEEN = 200
"""Events that are published before the next fault."""
PREFIX = "{relay}:"
KEY = PREFIX + "tasks"


def on_cluster(nodes: Sequence[RedisServer]) -> Target:
    """Read from whichever node has the slot in the end. The facts of other replicas make the script need more keys."""

    async def read(topic: str) -> list[Seen]:
        owner = await asyncio.to_thread(owner_of, PREFIX + topic, nodes)
        return await read_redis(owner.url, PREFIX + topic)

    others = [f"127.0.0.1:{node.port}" for node in nodes[1:]]
    keys = {"url": nodes[0].url, "cluster": True, "startup_nodes": others, "shared_window": "1h"}
    return Target({"type": "redis", "prefix": PREFIX, **keys}, read)


async def move_slot(trial: Trial, nodes: Sequence[RedisServer], half: bool) -> None:
    """Moves the sink's slot to another node; ``half``: it stays for a while with some keys here and some there."""
    owner = await asyncio.to_thread(owner_of, KEY, nodes)
    target = nodes[(nodes.index(owner) + 1) % len(nodes)]
    slot = owner.cli("CLUSTER", "KEYSLOT", KEY).decode()
    trial.injected("slot moved")
    async with failing(trial):
        await asyncio.to_thread(begin_move, slot, owner, target)
    if half:
        keys = int(owner.cli("CLUSTER", "COUNTKEYSINSLOT", slot))
        await asyncio.to_thread(move_keys, slot, owner, target, keys // 2)
        async with failing(trial):
            pass  # it fails for as long as the keys are in two places
    await asyncio.to_thread(finish_move, slot, owner, target, nodes)
    await trial.published(BETWEEN)


@pytest.mark.row("R25", "a cluster's slot moves")
@ON_BOTH
async def test_a_slot_that_moves_neither_loses_nor_repeats(
    server: str, redis_cluster: list[RedisServer], tmp_path: Path, row: Row, effort: Effort
) -> None:
    """P2 broken: the script would stop in its middle while keys move, and its first events be appended again."""
    owner = await asyncio.to_thread(owner_of, KEY, redis_cluster)
    for topic in set(TOPICS) - {TASKS}:
        owner.cli("XADD", PREFIX + topic, "*", "id", "old")  # so that new facts alone are missing where it moves
    async with Trial(tmp_path, on_cluster(redis_cluster), row=row, rate=RATE) as trial:
        await trial.published(BETWEEN)
        for turn in range(effort(short=2, full=6)):
            await move_slot(trial, redis_cluster, half=turn % 2 == 0)
        await trial.conclude()


async def hand_over(trial: Trial, primary: RedisServer, replica: RedisServer) -> None:
    """The replica takes the primary's place while that is well."""
    trial.injected("failover by hand")
    replica.cli("CLUSTER", "FAILOVER")
    await until(lambda: replica.cli("ROLE").startswith(b"master"))
    await trial.published(BETWEEN)
    await until(lambda: b"master_link_status:up" in primary.cli("INFO", "replication"))


async def replicated(cluster: list[RedisServer], start: RedisProcess) -> tuple[RedisServer, RedisServer]:
    """The primary that has relay's key, and a new replica of it."""
    primary = await asyncio.to_thread(owner_of, KEY, cluster)
    replica = start(*CLUSTERED)
    await add_replica(replica, primary)
    return primary, replica


async def die(trial: Trial, primary: RedisServer, replica: RedisServer) -> None:
    """The primary dies, and the cluster elects the replica; what that did not have yet is lost."""
    trial.injected("kill -9 of the primary")
    await asyncio.to_thread(primary.kill)
    await until(lambda: replica.cli("ROLE").startswith(b"master"))
    await trial.published(BETWEEN)
    await primary.start()
    await until(lambda: b"master_link_status:up" in primary.cli("INFO", "replication"))


@pytest.mark.row("R26", "a cluster's primary is replaced")
@ON_BOTH
async def test_a_primary_that_is_replaced_neither_loses_nor_repeats(
    server: str,
    redis_cluster: list[RedisServer],
    redis_process: RedisProcess,
    tmp_path: Path,
    row: Row,
    effort: Effort,
) -> None:
    """P2 broken: what a failover loses would stay lost, or what it kept be repeated."""
    primary, replica = await replicated(redis_cluster, redis_process)
    async with Trial(tmp_path, on_cluster([*redis_cluster, replica]), row=row, rate=RATE) as trial:
        await trial.published(BETWEEN)
        for turn in range(effort(short=2, full=6)):
            await (hand_over if turn % 2 == 0 else die)(trial, primary, replica)
            primary, replica = replica, primary
        await trial.conclude()


@pytest.mark.row("R27", "a primary lives on after its failover")
@ON_BOTH
@pytest.mark.parametrize("redis_sentinel", [STUBBORN], indirect=True, ids=["sentinel"])
async def test_a_primary_that_lives_on_keeps_nothing(
    server: str, redis_sentinel: SentinelSet, tmp_path: Path, row: Row
) -> None:
    """Broken: what comes after the failover would be where nobody reads, for as long as the old primary lives."""
    servers = redis_sentinel
    where = [f"127.0.0.1:{servers.sentinel.port}"]
    target = on_redis(servers.replica.redis, PREFIX, sentinels=where, service_name="relay")
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        await trial.published(BETWEEN)
        trial.injected("failover beside a primary that lives on")
        async with failing(trial, "failed_over"):
            await servers.fail_over()
        assert servers.primary.cli("ROLE").startswith(b"master")
        await trial.published(BETWEEN)
        await trial.conclude()


@pytest.mark.row("R37", "a cluster's password rotated while slots and primaries move")
@ON_BOTH
@pytest.mark.matrix
async def test_a_password_is_rotated_while_a_cluster_changes(
    server: str,
    redis_cluster: list[RedisServer],
    redis_process: RedisProcess,
    tmp_path: Path,
    row: Row,
    effort: Effort,
) -> None:
    """P2 broken: the node that relay is sent to next would not let it in, or a batch be lost between two of them."""
    primary, replica = await replicated(redis_cluster, redis_process)
    nodes = [*redis_cluster, replica]
    secret = tmp_path / "password"
    allow(nodes, secret, 0)
    target = on_cluster(nodes)
    target.sink.update(username="relay", password_file=str(secret))
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        await trial.published(BETWEEN)
        for turn in range(1, effort(short=2, full=10) + 1):
            trial.injected("password rotated")
            allow(nodes, secret, turn)
            os.kill(trial.relay.pid, signal.SIGHUP)
            changing = hand_over(trial, primary, replica) if turn % 2 else die(trial, primary, replica)
            await asyncio.gather(changing, until(partial(reloaded, trial.relay, turn)))
            primary, replica = replica, primary
            for node in nodes:
                node.cli("ACL", "SETUSER", "relay", "resetpass", f">password-{turn}")
            other = next(node for node in redis_cluster if node not in (primary, replica))
            await slot_there_and_back(trial, nodes, other)
        await trial.conclude()


def allow(nodes: Sequence[RedisServer], secret: Path, turn: int) -> None:
    """One more password on every node, and the file that holds it. Users are not replicated."""
    for node in nodes:
        node.cli("ACL", "SETUSER", "relay", "on", f">password-{turn}", f"~{PREFIX}*", "+@all")
    secret.write_text(f"password-{turn}")


async def slot_there_and_back(trial: Trial, nodes: Sequence[RedisServer], target: RedisServer) -> None:
    """Moves the sink's slot to another node, and back to where it was."""
    for _ in range(2):
        owner = await asyncio.to_thread(owner_of, KEY, nodes)
        slot = owner.cli("CLUSTER", "KEYSLOT", KEY).decode()
        trial.injected("slot moved")
        primaries = [node for node in nodes if node.cli("ROLE").startswith(b"master")]
        await asyncio.to_thread(begin_move, slot, owner, target)
        await asyncio.to_thread(finish_move, slot, owner, target, primaries)
        await trial.published(BETWEEN)
        target = owner
