"""How fast a backlog drains after an outage, and what acknowledgements pay for it meanwhile.

``make bench-drain``: a journal with a million events, first to Kafka, then to Redis; the relay has one core, the broker
and the load have another. ``--events N`` for fewer. Deliveries come at a steady rate (open loop) before and while it
drains. The events that wait are the ones of ``bench/_steady.py``. Kafka's log is in memory, as if it were on another
machine; with ``--same-disk`` it is beside the journal, whose commits then wait for what the system writes of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench._million import EVENTS, journal_of_a_million
from bench._under_test import TOKEN, Server
from bench.webhooks import LOAD_CORE
from tests.services.kafka import running_broker
from tests.services.ports import free_port
from tests.services.redis import RedisServer

RATE = 200
ALONE = 8
"""Deliveries a second, and the seconds of the run without anything that drains."""
INSIDE = {"relay_webhook_ack_seconds": "within the relay", "relay_journal_commit_seconds": "commits"}
"""Where an acknowledgement's time goes: histograms of the relay."""
MEMORY = Path("/dev/shm")
LONGEST = 600.0
"""Seconds after which the sender ends even if the backlog has not."""


def configured(directory: Path, sinks: list[dict[str, Any]]) -> tuple[Path, int, int]:
    """The relay's configuration: its file and its ports."""
    port, admin = free_port(), free_port()
    config = {
        "server": {"port": port},
        "admin": {"port": admin},
        "journal": {"path": str(directory / "relay.db"), "max_backlog": 10_000_000},
        "webhooks": {"novita": {"tokens": [TOKEN]}},
        "reconcile": {"enabled": False},
        "identity": "bench",
        "sinks": sinks,
    }
    file = directory / "relay.json"
    file.write_text(json.dumps(config))
    return file, port, admin


def steady(server: Server, seconds: float, *more: str) -> subprocess.Popen[str]:
    """Deliveries at ``RATE`` for so long; it prints what they saw."""
    command = [sys.executable, "-m", "bench._steady", server.url, str(RATE), str(seconds), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class Acks:
    """What acknowledgements take from now on: from outside, within the relay, and of that the commit."""

    def __init__(self, server: Server, seconds: float, *more: str) -> None:
        self._server = server
        self._began = {name: server.buckets(name) for name in INSIDE}
        self._load = steady(server, seconds, *more)

    def end(self) -> str:
        """Stops the sender, unless it has ended by itself, and says what it saw; the relay stays up until then."""
        self._load.terminate()
        return self.wait()

    def wait(self) -> str:
        """The same once the sender has ended by itself."""
        outside = self._load.communicate()[0].strip()
        return ", ".join([outside, *(f"{what} {self._p99(name)}" for name, what in INSIDE.items())])

    def _p99(self, name: str) -> str:
        """A bound of the 99th percentile since the beginning."""
        before = dict(self._began[name])
        found = [(bound, below - before.get(bound, 0.0)) for bound, below in self._server.buckets(name)]
        bound = next((bound for bound, below in found if below >= found[-1][1] * 0.99), 0.0)
        return f"p99 at most {bound * 1e3:.0f} ms"


def drained(directory: Path, name: str, sinks: list[dict[str, Any]], events: int) -> None:
    """One run: prints a line of the table, and what the acknowledgements took."""
    config, port, admin = configured(directory, sinks)
    server = Server(name, ["relay", str(config)], port, admin)
    try:
        server.wait()
        if sinks:
            drain(server, name, events)
        else:
            print(f"- nothing drains: ack {Acks(server, ALONE).wait()}", flush=True)
    finally:
        server.stop()


def drain(server: Server, name: str, events: int) -> None:
    """Measures between 5 % and 98 %: until then it is being opened, and everything warms up."""
    acks = Acks(server, LONGEST)
    try:
        while server.metric("relay_published_total") < events / 20:
            time.sleep(0.1)
        before, began = server.metric("relay_published_total"), time.perf_counter()
        used = server.cpu_seconds()
        while (now := server.metric("relay_published_total")) < events * 0.98:
            time.sleep(0.5)
        seconds = time.perf_counter() - began
        cpu = (server.cpu_seconds() - used) / (now - before) * 1e6
        print(f"| {name} | {(now - before) / seconds:,.0f} | {cpu:.1f} | {server.rss_mb():.0f} |", flush=True)
    finally:
        said = acks.end()
    print(f"- while it drains to {name}: ack {said}", flush=True)


def main() -> None:
    """Fills the journal and drains it twice."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=EVENTS)
    options.add_argument("--same-disk", action="store_true", help="Kafka's log beside the journal")
    chosen = options.parse_args()
    events = chosen.events
    os.sched_setaffinity(0, {LOAD_CORE})  # what is started from here, the brokers included, inherits it
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-bench-")))
        journal_of_a_million(directory / "relay.db", events)
        print(f"{events:,} events wait, {shutil.disk_usage(directory).free >> 30} GiB free beside them", flush=True)
        print("| sink | events/s | CPU us per event | RSS MB |\n|---|---|---|---|")
        drained(directory, "nothing", [], events)
        in_memory = MEMORY.is_dir() and not chosen.same_disk
        broker = stack.enter_context(running_broker(parent=MEMORY if in_memory else directory))
        drained(directory, "kafka", [{"type": "kafka", "bootstrap_servers": broker.bootstrap}], events)
        broker.kill()
        redis = RedisServer(directory, "--appendonly", "no")
        asyncio.run(redis.start())
        stack.callback(redis.stop)
        drained(directory, "redis", [{"type": "redis", "url": redis.url}], events)


if __name__ == "__main__":
    main()
