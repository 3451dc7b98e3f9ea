"""How much of a bare aiohttp handler's throughput the relay keeps: ratios measured in one run on one machine.

``make bench-webhooks``: (a) a bare handler that only reads the body, (b) the relay without sinks, (c) with Kafka,
(d) with Redis; each at 32 and 256 connections. The server has one core, the load and the broker have another.
Closed loop (wrk) for ceilings; an open loop at half of (b)'s ceiling for the latencies, since a closed loop hides
stalls. ``--million`` repeats (b) with a million events in the journal.
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
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._million import journal_of_a_million
from bench._under_test import TOKEN, Server
from tests.services.kafka import running_broker
from tests.services.ports import free_port
from tests.services.redis import RedisServer

SERVER_CORE, LOAD_CORE = 0, 1
SECONDS = 6
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One closed-loop run."""

    name: str
    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    published: float
    behind: float
    cpu_us: float
    rss_mb: float


@contextmanager
def serving(name: str, sinks: list[dict[str, Any]], journal: Path | None = None) -> Iterator[Server]:
    """A server of one kind: ``bare``, or a relay with these sinks and a journal of its own."""
    port, admin = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        if name == "bare":
            server = Server(name, ["bare", str(port)], port, None)
        else:
            config = Path(folder) / "relay.yaml"
            path = Path(folder) / "relay.db"
            if journal is not None:
                shutil.copy(journal, path)
            settings = {
                "server": {"port": port},
                "admin": {"port": admin},
                "journal": {"path": str(path)},
                "webhooks": {"novita": {"tokens": [TOKEN]}},
                "identity": f"bench-{uuid.uuid4().hex[:8]}",
                "log": {"level": "error"},
                "sinks": sinks,
            }
            config.write_text(json.dumps(settings))
            server = Server(name, ["relay", str(config)], port, admin)
        try:
            server.wait()
            yield server
        finally:
            server.stop()


def ceiling(server: Server, connections: int) -> Ceiling:
    """A closed loop, after a warm-up: as fast as the server answers."""
    _wrk(server, connections, 2)
    published, cpu, started = server.metric("relay_published_total"), server.cpu_seconds(), time.monotonic()
    requests, micros, p50, p99, errors = _wrk(server, connections, SECONDS)
    behind = server.metric("relay_publish_lag_events")
    elapsed = time.monotonic() - started
    return Ceiling(
        server.name,
        connections,
        requests / (micros / 1e6),
        p50 / 1e3,
        p99 / 1e3,
        errors,
        (server.metric("relay_published_total") - published) / elapsed,
        behind,
        (server.cpu_seconds() - cpu) / requests * 1e6,
        server.rss_mb(),
    )


def _wrk(server: Server, connections: int, seconds: int) -> list[int]:
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s"]
    command += ["-s", str(HERE / "webhooks.lua"), server.url, "--", uuid.uuid4().hex[:6]]
    out = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
    return [int(field) for line in out.splitlines() if line.startswith("RESULT") for field in line.split()[1:]]


def steady(server: Server, rate: float, seconds: int = 5) -> str:
    """An open loop at a fixed rate: ack latencies that include every stall, and accept-to-broker times."""
    command = [
        "taskset",
        "-c",
        str(LOAD_CORE),
        sys.executable,
        "-m",
        "bench._steady",
        server.url,
        str(rate),
        str(seconds),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True).stdout.strip()


def main() -> None:
    """Runs everything and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", action="store_true", help="also (b) with a million events in the journal")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})  # what is started from here, the brokers included, inherits it
    if shutil.which("wrk") is None:
        raise SystemExit("bench-webhooks needs wrk: apt-get install wrk")
    rows: list[Ceiling] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="relay-bench-redis-") as folder, running_broker() as kafka:
        redis = RedisServer(Path(folder), "--appendonly", "no")
        asyncio.run(redis.start())
        try:
            kinds = {
                "bare": [],
                "no sink": [],
                "kafka": [{"type": "kafka", "bootstrap_servers": kafka.bootstrap, "prefix": "bench."}],
                "redis": [{"type": "redis", "url": redis.url}],
            }
            for name, sinks in kinds.items():
                _measure(name, sinks, rows, notes)
        finally:
            redis.stop()
    if options.million:
        _million(rows, notes)
    _report(rows, notes)


def _measure(name: str, sinks: list[dict[str, Any]], rows: list[Ceiling], notes: list[str]) -> None:
    for connections in (32, 256):
        with serving(name, sinks) as server:
            rows.append(ceiling(server, connections))
            print(rows[-1], file=sys.stderr)
            if name != "bare" and connections == 32:
                half = next(r.rate for r in rows if r.name == "no sink") / 2
                notes.append(f"{name}: {steady(server, half)}; {_end_to_end(server)}")


def _end_to_end(server: Server) -> str:
    """Mean, and the bucket that holds the median."""
    count, total = server.metric("relay_end_to_end_seconds_count"), server.metric("relay_end_to_end_seconds_sum")
    if not count:
        return "no sink"
    bound = next(bound for bound, below in server.buckets("relay_end_to_end_seconds") if below >= count / 2)
    return f"accept to broker mean {total / count * 1e3:.0f} ms, median at most {bound * 1e3:.0f} ms"


def _million(rows: list[Ceiling], notes: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="relay-bench-million-") as folder:
        path = Path(folder) / "relay.db"
        journal_of_a_million(path)
        for connections in (32, 256):
            started = time.monotonic()
            with serving("no sink, 1M events", [], path) as server:
                notes.append(
                    f"ready with a million events in the journal (copying it included): "
                    f"{time.monotonic() - started:.1f} s"
                )
                rows.append(ceiling(server, connections))


def _report(rows: list[Ceiling], notes: list[str]) -> None:
    bare = {row.connections: row.rate for row in rows if row.name == "bare"}
    print("| server | connections | acks/s | of bare | ack p50 ms | p99 ms | published/s | behind | CPU us | RSS MB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.name} | {row.connections} | {row.rate:,.0f} | {row.rate / bare[row.connections]:.2f} "
            f"| {row.p50_ms:.1f} | {row.p99_ms:.1f} | {row.published:,.0f} | {row.behind:,.0f} "
            f"| {row.cpu_us:.0f} | {row.rss_mb:.0f} |"
        )
        if row.errors:
            notes.append(f"{row.name} at {row.connections}: {row.errors} errors")
    print("\n" + "\n".join(f"- {note}" for note in notes))


if __name__ == "__main__":
    main()
