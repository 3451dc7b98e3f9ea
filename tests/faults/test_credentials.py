"""R33, R34: what a sink and the shared index log in with changes under load: relay goes on with the new, and needs the
old no more."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.faults.conftest import Shared
from tests.faults.harness.fleet import Fleet
from tests.faults.harness.load import Sender, delivery, new_task
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.oracle import Evidence, judge
from tests.faults.harness.record import Record
from tests.faults.harness.targets import on_redis
from tests.faults.harness.trial import Trial
from tests.faults.test_replicas import COPIES, deal
from tests.services.redis import ON_BOTH, RedisProcess, RedisServer, until
from tests.services.relay import RelayProcess

RATE = 200
BETWEEN = 200
"""Events that are published before the next rotation."""
GAP = 5.0
"""Seconds in which a rotation has to be over."""


@pytest.mark.row("R33", "passwords rotated")
@ON_BOTH
async def test_rotated_passwords_interrupt_nothing(
    server: str, redis_process: RedisProcess, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """P1 or P2 broken: a rotation is an outage, loses a batch or repeats it."""
    redis = redis_process()
    await redis.start()
    redis.cli("ACL", "SETUSER", "relay", "on", ">password-0", "~{relay}:*", "+@all")
    secret = tmp_path / "password"
    secret.write_text("password-0")
    target = on_redis(redis.redis, "{relay}:", redis, username="relay", password_file=str(secret))
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        for turn in range(1, effort(short=3, full=20) + 1):
            await trial.published(BETWEEN)
            trial.injected("password rotated")
            redis.cli("ACL", "SETUSER", "relay", f">password-{turn}")
            secret.write_text(f"password-{turn}")
            os.kill(trial.relay.pid, signal.SIGHUP)
            await until(partial(reloaded, trial.relay, turn))
            redis.cli("ACL", "SETUSER", "relay", f"<password-{turn - 1}")
            await trial.published(BETWEEN, within=effort.within(GAP))
        assert not await trial.relay.metric("relay_publish_failures_total")
        await trial.conclude()


def reloaded(relay: RelayProcess, times: int) -> bool:
    """Whether it has said so."""
    return relay.log.read_text().count("configuration reloaded") == times


@pytest.mark.row("R34", "the shared index' password rotated")
async def test_a_rotated_password_of_the_shared_index_interrupts_nothing(
    shared: Shared, redis_process: RedisProcess, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """P4 broken: while the index is away replicas publish unverified, and may repeat each other's tasks."""
    dice = random.Random(row.seed)
    redis, address, record = redis_process(), tmp_path / "address", Record(tmp_path / "record")
    await redis.start()
    give(redis, address, 0)
    target, turns = shared("kafka"), effort(short=2, full=20)
    row.load = f"{2 * BETWEEN} tasks x {COPIES} for each fault"
    async with Fleet(tmp_path, target, count=2, dedup={"shared_index_file": str(address)}) as fleet:
        async with Sender(lambda: fleet.webhook_url, record) as sender:
            await deal(sender, copies(dice))
            for turn in range(1, turns + 1):
                before = connections(redis)
                dealing = asyncio.create_task(deal(sender, copies(dice)))
                row.injected("password rotated")
                give(redis, address, turn)
                for relay in fleet.relays:
                    os.kill(relay.pid, signal.SIGHUP)
                    await until(partial(reloaded, relay, turn))
                redis.cli("ACL", "SETUSER", "relay", f"<password-{turn - 1}")
                await dealing
                await deal(sender, copies(dice))
                assert not before & connections(redis), "a replica goes on with a login that has ended"
        await fleet.until_drained()
        assert await fleet.facts("unverified") == 0
        assert await fleet.facts("overrun") == 0
        seen = await target.read()
        assert await fleet.stop() == []
    verdict = judge(Evidence(record.read(), seen))
    row.judged(verdict, len(record.read().ids))
    assert verdict.holds, verdict
    assert len(seen) == (2 * turns + 1) * BETWEEN
    logs = "".join(relay.log.read_text() for relay in fleet.relays)
    assert "password-" not in logs


def give(redis: RedisServer, address: Path, turn: int) -> None:
    """One more password, and the file with the address that holds it."""
    redis.cli("ACL", "SETUSER", "relay", "on", f">password-{turn}", "~{relay:*", "+@all")
    address.write_text(f"redis://relay:password-{turn}@127.0.0.1:{redis.port}/0")


def copies(dice: random.Random) -> Sequence[bytes]:
    """Deliveries of new tasks, each several times, mixed."""
    bodies = [body for _ in range(BETWEEN) for body in [delivery(new_task(dice), dice)] * COPIES]
    dice.shuffle(bodies)
    return bodies


def connections(redis: RedisServer) -> set[str]:
    """The ids of the connections of ``relay``."""
    lines = redis.cli("CLIENT", "LIST").decode().splitlines()
    return {line.split()[0] for line in lines if " user=relay " in line}
