"""R35, R36: what relay logs in to Kafka with changes and ends under load, and rights are taken away."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.faults.harness import rotations
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.rotations import Begin, Rotation
from tests.faults.harness.targets import on_kafka
from tests.faults.harness.trial import Trial
from tests.faults.test_credentials import GAP, reloaded
from tests.faults.test_redis_loss import failing
from tests.services.guarded_kafka import ENDS_AFTER, GuardedKafka, guarded_kafka
from tests.services.kafka import Kafka
from tests.services.redis import until
from tests.services.sts import Sts, running_sts

RATE = 200
BETWEEN = 200
"""Events that are published before the next fault."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    with guarded_kafka(tmp_path_factory.mktemp("guarded")) as running:
        yield running


@pytest.fixture
def sts() -> Iterator[Sts]:
    with running_sts(*rotations.KEY) as running:
        yield running


BEGINNINGS = pytest.mark.parametrize(
    "begin",
    [
        pytest.param(rotations.plain, id="PLAIN"),
        pytest.param(rotations.scram, id="SCRAM"),
        pytest.param(rotations.client_secret, id="client secret"),
        pytest.param(rotations.token_file, id="token file"),
        pytest.param(rotations.certificate, id="certificate"),
        pytest.param(rotations.web_identity, id="IAM"),
    ],
)


class Gap:
    """``async with``: watches how long the sink goes without a commit, at most."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.longest = 0.0

    async def __aenter__(self) -> Gap:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        seen, since = -1.0, time.monotonic()
        while True:
            published = await self._trial.relay.metric("relay_published_total", sink="kafka")
            now = time.monotonic()
            self.longest = max(self.longest, now - since)
            if published != seen:
                seen, since = published, now
            await asyncio.sleep(0.05)


async def reload(trial: Trial, times: int) -> None:
    os.kill(trial.relay.pid, signal.SIGHUP)
    await until(partial(reloaded, trial.relay, times))


@asynccontextmanager
async def tried(
    begin: Begin, guarded: GuardedKafka, sts: Sts, tmp_path: Path, row: Row
) -> AsyncIterator[tuple[Trial, Rotation, str]]:
    """A relay under load that has logged in so; and the prefix of its topics."""
    with pytest.MonkeyPatch.context() as patch:
        rotation = begin(guarded, tmp_path, sts, patch)
        await asyncio.to_thread(rotation.rotate)
        kafka = Kafka(guarded.broker.bootstrap)
        prefix = kafka.topic_prefix()
        async with Trial(tmp_path, on_kafka(kafka, prefix, **rotation.keys), row=row, rate=RATE) as trial:
            await trial.published(BETWEEN)
            yield trial, rotation, prefix


@pytest.mark.row("R35", "Kafka credentials rotated")
@BEGINNINGS
@pytest.mark.matrix
async def test_rotated_credentials_of_kafka_interrupt_nothing(
    begin: Begin, guarded: GuardedKafka, sts: Sts, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """P1 or P2 broken: a rotation is an outage, loses a batch or repeats it; or a wrong secret ends the relay."""
    async with tried(begin, guarded, sts, tmp_path, row) as (trial, rotation, _):
        turns = effort(short=1, full=5)
        async with Gap(trial) as gap:
            for turn in range(1, turns + 1):
                trial.injected("credentials rotated")
                await asyncio.to_thread(rotation.rotate)
                await reload(trial, turn)
                await trial.published(int(1.2 * ENDS_AFTER * RATE))  # by then the broker has ended the login before
        row.notes.append(f"at most {gap.longest:.1f} s between two commits")
        assert gap.longest < effort.within(GAP)
        assert not await trial.relay.metric("relay_publish_failures_total")
        trial.injected("wrong credentials")
        async with failing(trial, rotation.code):
            await asyncio.to_thread(rotation.spoil)
            await reload(trial, turns + 1)
        await trial.relay.until_logged(rotation.says)
        await asyncio.to_thread(rotation.rotate)
        await reload(trial, turns + 2)
        await trial.published(BETWEEN)
        assert trial.relay.log.read_text().count("wr0ng") == 0
        await trial.conclude()


@pytest.mark.row("R36", "Kafka rights taken away")
@BEGINNINGS
@pytest.mark.matrix
async def test_rights_that_are_taken_away_lose_nothing(
    begin: Begin, guarded: GuardedKafka, sts: Sts, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """P1 or P2 broken: a rule that somebody adds by mistake loses a batch, or nobody learns which right is missing."""
    async with tried(begin, guarded, sts, tmp_path, row) as (trial, rotation, prefix):
        for kind, named in (("--topic", "topic"), ("--transactional-id", "transactional id")):
            trial.injected(f"{named} denied")
            async with failing(trial, "authorization"):
                await asyncio.to_thread(guarded.deny, rotation.principal, kind, prefix)
            await trial.relay.until_logged(f"rights are missing on the {named} {prefix}")
            await trial.relay.until_logged(rotation.logged_in)
            await asyncio.to_thread(guarded.permit, rotation.principal, kind, prefix)
            await trial.published(BETWEEN)
        await trial.conclude()
