"""The oracle can fail: bugs of the kinds that others have shipped, planted into a relay, are each caught."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.conftest import Own, Proxied, Shared
from tests.faults.harness.launch import planted
from tests.faults.harness.matrix import SEED, Row
from tests.faults.harness.oracle import Verdict
from tests.faults.harness.targets import KAFKA_LATER
from tests.faults.harness.trial import Trial
from tests.faults.test_broker_outage import killed
from tests.faults.test_disk import fill_disk

RATE = 200
KILLS = 6
EITHER = ["redis", KAFKA_LATER]


async def crashed(trial: Trial) -> Verdict:
    """What a crash loop leaves behind. Killed at any moment, and not always right after a batch was seen published."""
    dice = random.Random(SEED)
    for _ in range(KILLS):
        await trial.published()
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        await trial.kill()
        await trial.restart()
    await trial.acknowledged()
    (verdict,) = await trial.judged()
    return verdict


@pytest.mark.row("-", "planted: checkpoint before publish")
@pytest.mark.parametrize("kind", EITHER)
async def test_a_checkpoint_that_moves_before_the_events_is_caught(
    kind: str, shared: Shared, tmp_path: Path, row: Row
) -> None:
    """Broken: events that a crash loses between checkpoint and publish would pass unseen."""
    program = planted("checkpoint_before_publish")
    async with Trial(tmp_path, shared(kind), row=row, rate=RATE, program=program) as trial:
        verdict = await crashed(trial)
    row.caught(verdict)
    assert verdict.lost
    assert not verdict.repeated


@pytest.mark.matrix
@pytest.mark.row("-", "planted: key before event")
async def test_a_key_that_is_recorded_before_its_event_is_caught(shared: Shared, tmp_path: Path, row: Row) -> None:
    """Broken: repetitions of an event that was never written would be acknowledged as duplicates, unseen."""
    program = planted("key_before_event")
    async with Trial(tmp_path, shared("redis"), row=row, rate=RATE, program=program) as trial:
        verdict = await crashed(trial)
    row.caught(verdict)
    assert verdict.lost
    assert not verdict.repeated


@pytest.mark.row("-", "planted: swallowed send error")
@pytest.mark.parametrize("kind", EITHER)
async def test_a_send_error_that_is_swallowed_is_caught(kind: str, own: Own, tmp_path: Path, row: Row) -> None:
    """Broken: events that never reached the broker would count as published, unseen."""
    program = planted("swallowed_send_error")
    impatient = {"publish_timeout": "500ms"} if kind == "kafka" else {}
    async with Trial(tmp_path, await own(kind, **impatient), row=row, rate=RATE, program=program) as trial:
        await trial.published()
        async with killed(trial, seconds=0.5):
            await trial.acknowledged()
        (verdict,) = await trial.judged()
    row.caught(verdict)
    assert verdict.lost
    assert verdict.unbalanced


@pytest.mark.row("-", "planted: plain XADD, retried by the client")
async def test_a_plain_xadd_with_retries_is_caught(proxied: Proxied, tmp_path: Path, row: Row) -> None:
    """Broken: events doubled by a client that repeats what it got no answer to would pass unseen."""
    target, proxy = await proxied("redis")
    async with Trial(tmp_path, target, row=row, rate=20, program=planted("plain_xadd")) as trial:
        for _ in range(5):
            await trial.acknowledged(5)
            trial.injected("reply of an XADD dropped")
            proxy.drop("XADD", "reset")
            await proxy.dropped()
        (verdict,) = await trial.judged()
    row.caught(verdict)
    assert verdict.repeated
    assert not verdict.lost


@pytest.mark.row("-", "planted: 2xx before the commit")
async def test_an_answer_before_the_commit_is_caught(shared: Shared, tmp_path: Path, row: Row) -> None:
    """Broken: P1: a 2xx for what is not on disk would pass unseen."""
    program = planted("answer_before_commit")
    async with Trial(tmp_path, shared("redis"), row=row, rate=RATE, program=program) as trial:
        await trial.published()
        await fill_disk(trial)
        await trial.acknowledged()
        (verdict,) = await trial.judged()
    row.caught(verdict)
    assert verdict.untimely
    assert verdict.lost
