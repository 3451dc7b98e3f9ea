"""What a journal costs that holds much: latency, CPU, memory, log and start, alone and beside those who read it.

``make bench-growth``: an open loop of deliveries of 1 KB, and of 500 KB, against a relay whose journal holds nothing,
and a million events of 1 KB (or 2,000 of 500 KB); first alone, then while a Redis sink drains all that is held and
ten consumers page. ``kill -9`` ends each, and the start after it is timed. ``--events 5000000 --large`` for five
million small ones, and no large ones. ``--pairs 8``: what an event costs with none and with a million held, in turns.
The server has one core; load, readers and Redis have the other.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._journals import fill, relay_over
from bench._steady import BODY
from bench._under_test import Server
from bench.webhooks import LOAD_CORE
from relay.core.event import Draft
from relay.core.source import Delivery
from relay.journal.store import Store
from relay.sources.novita_task import NovitaTask
from tests.services.redis import RedisServer

LARGE_HELD = 2_000
PAGERS = 10
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Load:
    """Deliveries of one size: ``filler`` bytes more than the vendor's own, ``rate`` of them in a second."""

    name: str
    filler: int
    rate: float


SMALL, LARGE = Load("1 KB", 0, 500.0), Load("500 KB", 500_000, 10.0)


def journal_of(path: Path, events: int, filler: int) -> None:
    """Writes what is held: a minute and 2 GB for a million small ones."""
    source, store, group = NovitaTask(), Store(path), max(1, min(2_000, (4 << 20) // (filler + 1_000)))
    now = time.time_ns() // 1_000_000
    extra = f'"filler":"{"x" * filler}",'
    try:
        for _ in range(0, events, group):
            bodies = [
                (BODY % uuid.uuid4()).replace('"seed"', extra + '"seed"' if filler else '"seed"') for _ in range(group)
            ]
            made = [source.normalize(Delivery(body.encode(), now)) for body in bodies]
            fill(store, [draft for draft in made if isinstance(draft, Draft)], now)
    finally:
        store.close()


def serving(folder: Path, sinks: list[dict[str, Any]]) -> AbstractContextManager[tuple[Server, float]]:
    """A relay over the journal in a folder, and the seconds until it was ready; ended by ``kill -9``."""
    settings = {
        "webhooks": {"max_body": 2 << 20},
        "identity": "bench-growth",
        "journal": {"max_backlog": 10_000_000},
        "sinks": sinks,
    }
    return relay_over(folder, settings)


def beside(*arguments: str) -> subprocess.Popen[str]:
    """A program of the load's core."""
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    """What it printed, at its end."""
    text, _ = process.communicate(timeout=300)
    return text.strip()


def loaded(server: Server, load: Load, seconds: float) -> tuple[str, float]:
    """What the sender of a load saw, and the microseconds of CPU that the relay used for each of its events."""
    cpu = server.cpu_seconds()
    steady = said(beside("bench._steady", server.url, str(load.rate), str(seconds), str(load.filler)))
    return steady, (server.cpu_seconds() - cpu) / (load.rate * seconds) * 1e6


def measured(server: Server, folder: Path, load: Load, seconds: float, *, paging: bool) -> tuple[str, float]:
    """One row's figures, and the 99th percentile in milliseconds."""
    readers = None
    if paging:
        readers = beside("bench._pagers", f"http://127.0.0.1:{server.port}", str(PAGERS), str(seconds))
    published = server.metric("relay_published_total")
    steady, cost = loaded(server, load, seconds)
    drained = (server.metric("relay_published_total") - published) / seconds
    found = re.search(r"p50 ([\d.]+) ms, p99 ([\d.]+) ms, (\d+) of (\d+)", steady)
    assert found is not None, steady
    log = (folder / "relay.db-wal").stat().st_size / MIB
    notes = f"{drained:,.0f}/s published; {said(readers)}" if readers else ""
    figures = f"{found[1]} | {found[2]} | {cost:,.0f} | {server.rss_mb():.0f} | {log:.0f} | {notes}"
    return figures, float(found[2])


def rows(load: Load, held: int, seconds: float) -> Iterator[str]:
    """The figures of one journal: alone, with everybody reading, and how long it takes to be ready again."""
    with tempfile.TemporaryDirectory(prefix="relay-growth-") as name:
        folder = Path(name)
        journal_of(folder / "relay.db", held, load.filler)
        label = f"| {load.name} | {held:,} "
        with serving(folder, []) as (server, ready):
            figures, idle = measured(server, folder, load, seconds, paging=False)
            yield f"{label}| alone | {figures} |"
        redis = RedisServer(folder, "--save", "", "--appendonly", "no")
        asyncio.run(redis.start())
        assert redis.process is not None
        os.sched_setaffinity(redis.process.pid, {LOAD_CORE})
        try:
            with serving(folder, [{"type": "redis", "url": redis.url}]) as (server, ready):
                figures, busy = measured(server, folder, load, seconds, paging=True)
                yield f"{label}| beside readers | {figures} |"
            yield f"{label}| ready after kill -9: {ready:.2f} s; p99 {busy / idle:.1f} times that alone |"
            with serving(folder, [{"type": "redis", "url": redis.url}]) as (server, ready):
                yield f"{label}| ready after kill -9 under that load: {ready:.2f} s |"
        finally:
            redis.stop()


def paired(load: Load, held: int, seconds: float, pairs: int) -> Iterator[str]:
    """What an event costs with nothing held and with ``held`` events, in turns: the machine changes, the ratio less."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="relay-growth-") as name:
        folders = {events: Path(name) / str(events) for events in (0, held)}
        for events, folder in folders.items():
            folder.mkdir()
            journal_of(folder / "relay.db", events, load.filler)
        for turn in range(pairs):
            costs = {}
            for events in sorted(folders, reverse=turn % 2 == 1):
                with serving(folders[events], []) as (server, _):
                    loaded(server, load, seconds / 3)  # what each process pays once
                    _, costs[events] = loaded(server, load, seconds)
            empty, full = costs[0], costs[held]
            ratios.append(full / empty)
            yield f"| {load.name} | 0, {held:,} | {empty:,.0f} and {full:,.0f} us per event: {ratios[-1]:.3f} |"
    middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
    yield f"| {load.name} | 0, {held:,} | **{middle:.3f}** in the middle, {least:.3f} to {most:.3f} |"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="*", default=[0, 1_000_000], help="small events held")
    parser.add_argument("--large", type=int, nargs="*", default=[0, LARGE_HELD], help="large events held")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each load")
    parser.add_argument(
        "--pairs", type=int, help="only the cost of an event, with none and with the most held, in turns"
    )
    options = parser.parse_args()
    if options.pairs:
        for row in paired(SMALL, max(options.events), options.seconds, options.pairs):
            print(row, flush=True)
        return
    print("| events | held | what | p50 ms | p99 ms | CPU us per event | RSS MB | log MiB | beside |")
    print("|---|---|---|---|---|---|---|---|---|")
    for load, held in [*((SMALL, held) for held in options.events), *((LARGE, held) for held in options.large)]:
        for row in rows(load, held, options.seconds):
            print(row, flush=True)


if __name__ == "__main__":
    main()
