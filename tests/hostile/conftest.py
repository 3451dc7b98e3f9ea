"""One relay for all cases: whatever they did to it, it is up at the end, and no larger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.hostile.stage import Cost, Stage, staged

KEPT = 30.0
"""MiB by which the process may have grown after all cases."""

_SHORT = {"header_timeout": "1s", "keepalive_timeout": "2s"}


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The relay, in the state in which the cases before have left it."""
    with staged(
        tmp_path_factory.mktemp("hostile"),
        server=_SHORT,
        webhooks={"body_timeout": "1s"},
        proxy={"body_timeout": "2s", "idle_timeout": "2s"},
        reconcile={"enabled": False},
    ) as stage:
        asyncio.run(_warm(stage))
        began = stage.memory
        yield stage
        asyncio.run(_warm(stage))
        grown = stage.memory - began
        print(f"\n{_table(stage.costs)}\nmemory {grown:+.0f} MiB since {began:.0f}")
        assert grown <= KEPT, f"after all cases the relay holds {grown:.0f} MiB more"


def _table(costs: list[Cost]) -> str:
    """A row per test, and one of all: what it took at most, and how long the deliveries beside it did."""
    rows = {name: [cost for cost in costs if cost.name == name] for name in dict.fromkeys(cost.name for cost in costs)}
    rows["all"] = costs
    lines = [
        "test | MiB | CPU s | standstill ms | deliveries | p50 ms | p99 ms | max ms | probes p50 ms | p99 ms | max ms"
    ]
    for name, each in rows.items():
        most = [max(figures) for figures in zip(*((c.mib, c.cpu, c.seen.standstill * 1e3) for c in each), strict=True)]
        acknowledged = [seconds for cost in each for seconds in cost.seen.acknowledged]
        probed = [seconds for cost in each for seconds in cost.seen.probed]
        costs = f"{most[0]:.0f} | {most[1]:.1f} | {most[2]:.0f}"
        lines.append(f"{name} | {costs} | {len(acknowledged)} | {_times(acknowledged)} | {_times(probed)}")
    return "\n".join(lines)


def _times(seconds: list[float]) -> str:
    """The median, p99 and the longest, in milliseconds."""
    took = sorted(each * 1e3 for each in seconds)
    return f"{took[len(took) // 2]:.1f} | {took[len(took) * 99 // 100]:.1f} | {took[-1]:.1f}"


async def _warm(stage: Stage) -> None:
    """It has served something before it is measured, and what was there is over."""
    async with stage.case(mib=1000, cpu=1000, loop=1000):
        await asyncio.sleep(1)
