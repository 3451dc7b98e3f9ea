"""R3: the broker dies, comes back, hangs. Webhooks go on being acknowledged, and the backlog drains by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Own
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.targets import OLDER_KAFKA, REDIS_LATER
from tests.faults.harness.trial import Trial

RATE = 200
ACK_WITHIN = 0.05
"""Seconds: the 99th percentile of the 2xx, outages included; on a busy machine, twice what it was before the first."""
BEFORE = 400
"""2xx before the first outage."""
DRAIN_RATE = 2000
"""Events a second, at least, once a broker is back with a backlog of ``ENOUGH`` or more."""
ENOUGH = 4000


@asynccontextmanager
async def killed(trial: Trial, seconds: float) -> AsyncIterator[None]:
    """The broker is dead for a while, then back on its data."""
    (target,) = trial.targets
    assert target.server is not None
    trial.injected("kill -9 of the broker")
    await asyncio.to_thread(target.server.kill)
    await asyncio.sleep(seconds)
    yield
    await target.server.start()
    trial.happened("broker is back")


@asynccontextmanager
async def hanging(trial: Trial, seconds: float) -> AsyncIterator[None]:
    """The broker keeps its connections and answers nothing for a while."""
    (target,) = trial.targets
    assert target.server is not None
    trial.injected(f"SIGSTOP of the broker for {seconds:g} s")
    target.server.pause()
    try:
        await asyncio.sleep(seconds)
        yield
    finally:
        target.server.resume()
    trial.happened("broker goes on")


async def caught_up(trial: Trial) -> float:
    """Waits until the backlog, that of the load going on included, is gone; events a second on the way there.

    The way begins where the backlog is longest: until then the sink's back-off may not be over, which says nothing of
    how fast a backlog drains.
    """
    peak, since = 0.0, time.monotonic()
    async with asyncio.timeout(60):
        while (backlog := await trial.relay.metric("relay_publish_lag_events")) > RATE / 2:
            if backlog >= peak:
                peak, since = backlog, time.monotonic()
            await asyncio.sleep(0.02)
    took = time.monotonic() - since
    return (peak + RATE * took) / took if peak >= ENOUGH else 0.0


@pytest.mark.alone
@pytest.mark.row("R3", "broker loss and hang")
@pytest.mark.parametrize("kind", ["kafka", REDIS_LATER, OLDER_KAFKA])
async def test_an_outage_of_the_broker_is_not_noticed_by_senders_and_loses_nothing(
    kind: str, own: Own, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P1 and P2: a broker that is down would turn webhooks away, lose events, or repeat them."""
    rates = []
    async with Trial(tmp_path, await own(kind), row=row, rate=RATE) as trial:
        await trial.acknowledged(BEFORE)
        usual = trial.load.tally.percentile(0.99)
        for _ in range(effort(short=1, full=2)):
            await trial.acknowledged()
            async with killed(trial, seconds=1.0):
                pass
            await trial.acknowledged()
            async with hanging(trial, seconds=4 if effort.size == "short" else 20):
                pass
            rates.append(await caught_up(trial))
        await trial.conclude(within=90)
    late = trial.load.tally.percentile(0.99)
    before = f"{usual * 1e3:.1f} ms before the first outage"
    drained = " and ".join(f"{rate:.0f}" for rate in rates if rate) or "no full backlog"
    row.notes.append(f"2xx p99 {late * 1e3:.1f} ms, {before}; drained at {drained} events/s")
    assert set(trial.load.tally.answers) == {"200"}
    if effort.timed:
        assert late < max(ACK_WITHIN, 2 * usual)
        assert all(rate > DRAIN_RATE for rate in rates if rate)
