"""What do pending tasks cost? ``make bench-reconcile``: a relay whose registry holds a million of them.

(a) How long a start takes with them, after a clean end and after ``kill -9``. (b) What a core spends while none of
them is due, beside the same relay without any. (c) What a webhook costs that ends one of them, beside one that ends
a task nobody registered. ``--tasks`` for another number.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
import uuid
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

from aiohttp import web

from bench._journals import fill, relay_over
from bench._steady import BODY
from bench._under_test import Server
from bench.webhooks import SERVER_CORE
from relay.core.event import Draft
from relay.core.source import Delivery
from relay.core.tasks.events import bare_task, submitted_draft
from relay.core.tasks.reconcile import Timing
from relay.journal.projections.tasks import Tasks
from relay.journal.store import Store
from relay.sources.novita_task import NovitaTask
from tests.services.ports import free_port

TASKS = 1_000_000
GROUP = 2_000
IDLE_SECONDS = 30
POLLING_SECONDS = 10
GROUPS = 200
WEBHOOKS = 64
"""Webhooks in one group, as under load."""


def registry_of(path: Path, tasks: int) -> None:
    """Writes a journal with so many pending tasks, each with its event, none of which is due for hours."""
    store = Store(path)
    registry, now = store.projection(Tasks), time.time_ns() // 1_000_000
    registry.timing = Timing(first_after=6 * 3600)
    try:
        for start in range(0, tasks, GROUP):
            ids = [task_id(n) for n in range(start, min(start + GROUP, tasks))]
            made = [submitted_draft(bare_task(one, "submitted", via="submit", received_at=now)) for one in ids]
            fill(store, made, now)
    finally:
        store.close()


def task_id(n: int) -> str:
    """The id of the n-th task: as scattered as the upstream's."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(n)))


def serving(
    folder: Path, *, upstream: int = 9, reconcile: dict[str, Any] | None = None
) -> AbstractContextManager[tuple[Server, float]]:
    """A relay over the journal in a folder, and the seconds until it was ready; ended by ``kill -9``."""
    settings = {
        "upstream": {"base_url": f"http://127.0.0.1:{upstream}"},
        "reconcile": reconcile or {"first_after": "6h"},
    }
    return relay_over(folder, settings)


def idle_share(server: Server) -> float:
    """The share of a core that it takes to do nothing."""
    time.sleep(3)
    before = server.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    return (server.cpu_seconds() - before) / IDLE_SECONDS


def starts(name: str, folder: Path, tasks: int) -> list[str]:
    """Start and idle figures of a relay with so many pending tasks."""
    lines = []
    with serving(folder) as (server, seconds):
        pending = server.metric("relay_tasks_pending")
        assert pending == tasks, pending
        share = idle_share(server)
        lines.append(f"| {name} | {seconds:.2f} | {100 * share:.2f} % | {server.rss_mb():.0f} |")
    with serving(folder) as (server, seconds):
        assert server.metric("relay_tasks_pending") == tasks
        lines.append(f"| {name}, after kill -9 | {seconds:.2f} | | {server.rss_mb():.0f} |")
    return lines


def commit_micros(path: Path, registered: bool, start: int) -> float:
    """Microseconds per webhook that a group commit takes, in the median; the webhooks end registered tasks, or not."""
    store, source = Store(path), NovitaTask()
    seconds = []
    try:
        for group in range(GROUPS):
            now = time.time_ns() // 1_000_000
            numbers = range(start + group * WEBHOOKS, start + (group + 1) * WEBHOOKS)
            ids = [task_id(n) if registered else str(uuid.uuid4()) for n in numbers]
            drafts = [source.normalize(Delivery((BODY % one).encode(), now)) for one in ids]
            group_of = [draft for draft in drafts if isinstance(draft, Draft)]
            began = time.perf_counter()
            store.append(group_of, now)
            seconds.append(time.perf_counter() - began)
            if store.wal_is_long():
                store.checkpoint_wal()
    finally:
        store.close()
    return median(seconds) / WEBHOOKS * 1e6


async def polling(folder: Path, rate: float) -> str:
    """What polling at a rate costs, against an upstream that says that everything is under way."""
    polls = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal polls
        polls += 1
        task = {"task_id": request.query["task_id"], "status": "TASK_STATUS_PROCESSING", "task_type": "TXT_TO_IMG"}
        return web.json_response({"task": task, "images": [], "videos": []})

    app = web.Application()
    app.router.add_get("/v3/async/task-result", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    upstream = free_port()
    await web.TCPSite(runner, "127.0.0.1", upstream).start()
    _watch_many(folder / "relay.db", round(rate * (POLLING_SECONDS + 10)))
    reconcile = {"first_after": "1s", "every": "1h", "max_rate": rate}
    try:
        with serving(folder, upstream=upstream, reconcile=reconcile) as (server, _):
            await asyncio.sleep(2)
            before, cpu, began = polls, server.cpu_seconds(), time.monotonic()
            await asyncio.sleep(POLLING_SECONDS)
            took = time.monotonic() - began
            share = (server.cpu_seconds() - cpu) / took
    finally:
        await runner.cleanup()
    return f"polling at max_rate {rate:g}: {(polls - before) / took:.1f} polls/s, {100 * share:.1f} % of a core"


def _watch_many(path: Path, tasks: int) -> None:
    store = Store(path)
    registry, now = store.projection(Tasks), time.time_ns() // 1_000_000
    store.execute(lambda: [registry.watch(task_id(n), now) for n in range(tasks)])
    store.close()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=TASKS)
    tasks = parser.parse_args().tasks
    os.sched_setaffinity(0, {1 - SERVER_CORE})
    with tempfile.TemporaryDirectory(prefix="relay-bench-reconcile-") as empty, tempfile.TemporaryDirectory() as full:
        print(f"writing {tasks:,} tasks", file=sys.stderr)
        registry_of(Path(full) / "relay.db", tasks)
        lines = [*starts("no tasks", Path(empty), 0), *starts(f"{tasks:,} pending", Path(full), tasks)]
        alone = commit_micros(Path(empty) / "relay.db", False, 0)
        beside = commit_micros(Path(full) / "relay.db", False, 0)
        ending = commit_micros(Path(full) / "relay.db", True, 0)
        notes = [
            f"commit of {WEBHOOKS} webhooks, us each: {alone:.1f} without tasks; {beside:.1f} beside {tasks:,} pending"
            f" ones, ending none of them; {ending:.1f} ending one each"
        ]
        for rate in (10.0, 100.0):
            with tempfile.TemporaryDirectory() as folder:
                notes.append(asyncio.run(polling(Path(folder), rate)))
    print("| registry | ready after s | idle, of a core | RSS MB |\n|---|---|---|---|")
    print("\n".join(lines))
    print("\n" + "\n".join(f"- {note}" for note in notes))


if __name__ == "__main__":
    main()
