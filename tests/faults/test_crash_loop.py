"""R1: ``kill -9`` at random times under load. Every acknowledged event is on the sink exactly once, in order."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.conftest import Shared
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.targets import REDIS_LATER
from tests.faults.harness.trial import Trial

RATE = 300
READY_WITHIN = 2.0
"""Seconds; on a busy machine, three times what the first start took."""
EVERYWHERE = ["kafka", REDIS_LATER, pytest.param("kafka-3.9", marks=pytest.mark.matrix)]


@pytest.mark.alone
@pytest.mark.row("R1", "crash loop")
@pytest.mark.parametrize("kind", EVERYWHERE)
async def test_no_event_is_lost_or_repeated_by_kill_9(
    kind: str, shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P2, the promise that the relay exists for."""
    dice = random.Random(row.seed)
    kills = effort(short=4, full=5 if kind == "kafka-3.9" else 20)
    async with Trial(tmp_path, shared(kind), row=row, rate=RATE) as trial:
        starts = []
        for _ in range(kills):
            await asyncio.sleep(dice.uniform(0.3, 3.0))
            await trial.kill()
            starts.append(await trial.restart())
        await trial.acknowledged()
        await trial.conclude()
    row.notes.append(f"ready after {max(starts):.2f} s at most")
    assert row.acknowledged is not None
    assert row.acknowledged > kills * 100
    if effort.timed:
        assert max(starts) < max(READY_WITHIN, 3 * trial.first_start)
