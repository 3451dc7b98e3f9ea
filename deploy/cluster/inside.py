"""``python -m deploy.cluster.inside``: what ``make check-cluster`` runs in its namespaces; see ``__main__``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp

from deploy.cluster import isolation
from deploy.cluster.brokers import BROKERS, Broker, Server, start_kafka, start_redis
from deploy.cluster.nodes import Cluster, groups_of
from deploy.cluster.release import Release
from deploy.cluster.report import Row, table
from deploy.cluster.scenarios import SCENARIOS, UPGRADES, Scenario
from deploy.cluster.traffic import RATE, Outcome, Traffic

BEFORE_AND_AFTER = 5 * RATE
"""Deliveries that are acknowledged before something happens, and after it."""


class Check:
    """Runs scenarios with one sink after the other, and keeps the rows of the table."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        self._cluster, self._home = cluster, home
        self.rows: list[Row] = []

    async def scenarios(self, broker: Broker, names: list[str]) -> None:
        """Installs, runs all of these, uninstalls, and looks again whether anything came twice."""
        release = Release(self._cluster, broker, f"events-{broker.kind}")
        started = time.monotonic()
        await release.install()
        await release.test()
        print(f"{broker.kind}: installed, and its own test passed, in {time.monotonic() - started:.0f} s", flush=True)
        await self._all(release, {name: SCENARIOS[name] for name in names})

    async def upgrade(self, broker: Broker, chart: Path) -> None:
        """Installs an earlier chart and image, upgrades them to these, goes back, and upgrades again."""
        release = Release(self._cluster, broker, f"upgraded-{broker.kind}", chart)
        await release.install()
        await self._all(release, UPGRADES)

    async def _all(self, release: Release, scenarios: Mapping[str, Scenario]) -> None:
        twice: set[str] = set()
        for name, act in scenarios.items():
            row = await self._one(release, name, act, twice)
            self.rows.append(row)
            print(table([row]).splitlines()[-1], flush=True)
            twice = await _twice(release.broker)
            self._cluster.check_alive()
        await release.uninstall()
        late = len(await _twice(release.broker) - twice)
        self.rows.append(Row(release.broker.kind, "all relays ended", 0, Outcome(repeated=late)))

    async def _one(self, release: Release, name: str, act: Scenario, twice: set[str]) -> Row:
        folder = self._home / "records" / str(len(self.rows))
        traffic = Traffic(lambda: release.url, folder, seed=2 * len(self.rows))
        started, note, failure = time.monotonic(), "", ""
        try:
            async with traffic:
                await traffic.acknowledged(BEFORE_AND_AFTER)
                note = await act(release)
                await traffic.acknowledged(BEFORE_AND_AFTER)
        except (AssertionError, RuntimeError, OSError, aiohttp.ClientError) as error:  # TimeoutError is an OSError
            failure = f"{type(error).__name__}: {error}"
        took = time.monotonic() - started
        outcome = await traffic.outcome(release.broker.read, twice)
        return Row(release.broker.kind, name, took, outcome, note, failure)


async def _twice(broker: Broker) -> set[str]:
    counts = Counter(event.id for event in await broker.read())
    return {event_id for event_id, count in counts.items() if count > 1}


@contextlib.asynccontextmanager
async def brokers(home: Path, sinks: list[str]) -> AsyncIterator[Mapping[str, Server]]:
    """Those that the sinks need, by their kind."""
    redis = await start_redis(home / "redis")
    kafka = await start_kafka(home / "kafka") if "kafka" in sinks else None
    try:
        yield {"redis": redis} if kafka is None else {"redis": redis, "kafka": kafka}
    finally:
        redis.kill()
        if kafka is not None:
            kafka.kill()


async def check(arguments: argparse.Namespace) -> int:
    """0 when each row holds."""
    cluster = Cluster(arguments.home, arguments.programs, arguments.images, arguments.group)
    checking = Check(cluster, arguments.home)
    started = time.monotonic()
    try:
        await asyncio.to_thread(cluster.up)
        print(f"two nodes are ready after {time.monotonic() - started:.0f} s", flush=True)
        async with brokers(arguments.home, arguments.sinks) as servers:
            for sink in arguments.sinks:
                if arguments.scenarios:
                    await checking.scenarios(BROKERS[sink](servers[sink]), arguments.scenarios)
                if arguments.before is not None:
                    await checking.upgrade(BROKERS[sink](servers[sink], "upgraded"), arguments.before)
    finally:
        cluster.down()
        print(f"\n{table(checking.rows)}\n", flush=True)
    failed = [row for row in checking.rows if not row.holds]
    print(f"{len(checking.rows) - len(failed)} rows as promised, {len(failed)} not; {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--sinks", nargs="+", required=True)
    parser.add_argument("--scenarios", nargs="*", required=True)
    parser.add_argument("--before", type=Path)
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    """Ctrl-C ends it like a failure."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return asyncio.run(check(arguments))


if __name__ == "__main__":
    given = _arguments()
    isolation.first(lambda: main(given), groups_of(given.group))
