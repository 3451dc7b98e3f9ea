"""R20: three relays behind nginx are restarted one after the other, as Kubernetes rolls out an update."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Shared
from tests.faults.harness.fleet import Fleet
from tests.faults.harness.load import Load
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.oracle import Evidence, judge
from tests.faults.harness.targets import KAFKA_LATER
from tests.services.nginx import Nginx
from tests.services.redis import Redis
from tests.services.relay import TOKEN


def sections_for(kind: str, redis_server: Redis) -> dict[str, Any]:
    """Repetitions may reach another replica than the first delivery did."""
    return {"dedup": {"shared_index": redis_server.url}} if kind == "kafka" else {}


@pytest.mark.row("R20", "rolling update")
@pytest.mark.parametrize("kind", [KAFKA_LATER, "redis"])
async def test_a_roll_out_is_seen_by_no_sender_and_costs_no_event(
    kind: str, shared: Shared, redis_server: Redis, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: an update of the relay would break deliveries, of which the upstream makes a few only."""
    target = shared(kind)
    if kind == "redis":
        target.sink["shared_window"] = "1h"
    rate = effort(short=200, full=500, long=500)
    row.load = f"{rate}/s, 3 relays behind nginx"
    async with Fleet(tmp_path, target, **sections_for(kind, redis_server)) as fleet:
        async with Nginx(tmp_path / "nginx", [relay.port for relay in fleet.relays]) as nginx:
            address = f"{nginx.url}/webhooks/novita/{TOKEN}"
            # A contradiction at another replica is answered as the ending that it would be there, and published as what
            # it is: the oracle compares by that name, so there are none.
            load = Load(lambda: address, tmp_path / "record", rate=rate, seed=row.seed, contradicting=0.0)
            await load.start()
            for _ in range(effort(short=1, full=3)):
                for relay in fleet.relays:
                    await acknowledged(load, rate)
                    row.injected("orderly restart")
                    assert await relay.stop(within=15.0) == 0
                    await acknowledged(load, rate // 2)
                    await relay.start()
            await acknowledged(load, rate)
            await load.stop()
        await fleet.until_drained()
        seen = await target.read()
        assert await fleet.stop() == []
    verdict = judge(Evidence(load.record.read(), seen))
    row.judged(verdict, len(load.record.read().ids))
    row.notes.append(f"answers {dict(load.tally.answers)}, p99 {load.tally.percentile(0.99) * 1e3:.0f} ms")
    print(verdict, load.tally.answers)
    assert set(load.tally.answers) == {"200"}, "a sender saw an error"
    assert verdict.holds, verdict


async def acknowledged(load: Load, count: int) -> None:
    """Returns when this many further deliveries have their 2xx."""
    goal = load.record.count + count
    async with asyncio.timeout(60):
        while load.record.count < goal:
            await asyncio.sleep(0.01)
