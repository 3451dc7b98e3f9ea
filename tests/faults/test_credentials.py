"""R33: what a sink logs in with changes under load: relay goes on with the new, and needs the old no more."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.targets import on_redis
from tests.faults.harness.trial import Trial
from tests.services.redis import ON_BOTH, RedisProcess, until
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
