"""R5: a relay that was taken for dead goes on, beside the one that took its place under the same identity."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.conftest import Shared
from tests.faults.harness.load import Sender, delivery, new_task
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.record import Record
from tests.faults.harness.targets import OLDER_KAFKA, REDIS_LATER, Target
from tests.faults.harness.trial import Trial, journalled
from tests.services.relay import RelayProcess

RATE = 200
ENDS_WITHIN = 5.0
STRAYS = 20


def saved_offset(relay: RelayProcess, label: str) -> int:
    """How far an ended relay got on a sink, as far as it knows."""
    with closing(sqlite3.connect(relay.directory / "relay.db")) as journal:
        found = journal.execute('SELECT "offset" FROM checkpoints WHERE sink = ?', (label,)).fetchone()
    return int(found[0])


async def send_strays(relay: RelayProcess, directory: Path, dice: random.Random) -> list[str]:
    """Deliveries that still go to the zombie; what it answers is not held against it, what it publishes would be."""
    tasks = [new_task(dice) for _ in range(STRAYS)]
    async with Sender(lambda: relay.webhook_url, Record(directory / "strays")) as sender:
        await asyncio.gather(*(sender.post(delivery(task, dice)) for task in tasks))
    return tasks


async def taken_over(trial: Trial, target: Target, directory: Path) -> RelayProcess:
    """Hangs the trial's relay in the middle of its work and puts another in its place; answers the zombie."""
    zombie = trial.relay
    trial.injected("SIGSTOP of the relay")
    zombie.pause()
    trial.relay = RelayProcess(directory / "successor", sinks=[target.sink])
    await trial.relay.start()
    await trial.published()
    return zombie


@pytest.mark.row("R5", "zombie")
@pytest.mark.parametrize("kind", ["kafka", REDIS_LATER, OLDER_KAFKA])
async def test_a_zombie_publishes_nothing_and_ends(
    kind: str, shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: a relay that hung, and whose place was taken, would double events when it wakes, or run on unseen."""
    dice = random.Random(row.seed)
    target = shared(kind)
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        await trial.published()
        await asyncio.sleep(dice.uniform(0.5, 1.5))
        zombie = await taken_over(trial, target, tmp_path)
        try:
            await asyncio.sleep(1 if effort.size == "short" else 10)
            zombie.resume()
            trial.injected("SIGCONT")
            before = asyncio.get_running_loop().time()
            strays = await send_strays(zombie, tmp_path, random.Random(~row.seed))
            code = await zombie.ended(within=effort.within(ENDS_WITHIN))
            took = asyncio.get_running_loop().time() - before
        finally:
            zombie.kill()
        trial.rival = journalled(zombie)
        trial.stranded = journalled(zombie, after=saved_offset(zombie, target.label))
        await trial.acknowledged()
        await trial.conclude()
    seen = await target.read()
    stay = len(trial.stranded - {event.id for event in seen})
    row.notes.append(f"ended {took:.1f} s after SIGCONT with {code}; {stay} events stay in its journal")
    assert code == 1
    assert not {event.subject for event in seen} & set(strays)
