"""One relay for all cases: whatever they did to it, it is up at the end, and no larger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.hostile.stage import Stage, staged

KEPT = 30.0
"""MiB by which the process may have grown after all cases."""

_SHORT = {"header_timeout": "1s", "keepalive_timeout": "20s"}


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
        took = sorted(stage.acknowledged)
        figures = f"p50 {took[len(took) // 2] * 1e3:.1f} ms, p99 {took[len(took) * 99 // 100] * 1e3:.1f} ms"
        print(f"\n{len(took)} good deliveries, {figures}; memory {grown:+.0f} MiB since {began:.0f}")
        assert grown <= KEPT, f"after all cases the relay holds {grown:.0f} MiB more"


async def _warm(stage: Stage) -> None:
    """It has served something before it is measured, and what was there is over."""
    async with stage.case(mib=1000, cpu=1000):
        await asyncio.sleep(1)
