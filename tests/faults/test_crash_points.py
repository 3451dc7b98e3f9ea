"""R2: death at each named moment between a delivery and its mark."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.faults.conftest import Shared
from tests.faults.harness.failpoints import OF_SINK, Failpoint
from tests.faults.harness.launch import crashing
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.targets import OLDER_KAFKA
from tests.faults.harness.trial import Trial

RATE = 200


async def die_at(trial: Trial, point: Failpoint, nth: int) -> None:
    """Starts the relay, which runs until it reaches the failpoint for the ``nth`` time."""
    trial.relay.launch(*crashing(point.name, nth))
    assert await trial.died() == -signal.SIGKILL, f"{point.name} was not reached"
    trial.injected("kill -9")
    trial.happened(f"{point.name} #{nth}")


@pytest.mark.row("R2", "named crash points")
@pytest.mark.parametrize("kind", ["kafka", "redis", OLDER_KAFKA])
async def test_no_moment_to_die_loses_or_repeats_an_event(
    kind: str, shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P2: there would be an instant at which a crash loses or doubles what it was doing."""
    dice = random.Random(row.seed)
    points = OF_SINK[kind.partition("-")[0]]
    rounds, drawn = effort(short=1, full=3), effort(short=5, full=len(points), long=len(points))
    async with Trial(tmp_path, shared(kind), row=row, rate=RATE) as trial:
        await trial.acknowledged()
        await trial.kill()
        for _ in range(rounds):
            for point in dice.sample(points, drawn):
                await die_at(trial, point, dice.randint(1, point.often))
        await trial.restart()
        await trial.acknowledged()
        await trial.conclude()
    row.notes.append(f"{drawn} of {len(points)} failpoints, {rounds} times")
