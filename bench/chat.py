"""What a chat costs: ratios measured in one run on one machine.

``make bench-chat``: an upstream, directly and behind nginx (``proxy_buffering off``), Envoy, a naive aiohttp
pass-through, and the relay with chunk events off, coalesced, and each. Streams of 200 frames at full speed, each frame
a ``send`` of its own, in a closed loop (wrk); calls without a stream, 500 a second; then streams paced at 20 frames a
second, whose frames tell when they were sent. The server has one core, the load and the upstream the other.
``ARGS="--api messages responses"`` for other APIs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench._chat_requests import PATHS, body
from tests.services.ports import free_port

SERVER_CORE, LOAD_CORE = 0, 1
FRAMES, PACE_MS = 200, 50
CALLS_SECONDS = 10
HERE = Path(__file__).parent
KINDS = ("direct", "nginx", "envoy", "naive", "off", "coalesced", "each")


@dataclass(frozen=True, slots=True)
class Full:
    """Streams at full speed."""

    name: str
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls without a stream, at a rate. ``cpu_us`` per call."""

    name: str
    calls: int
    errors: int
    p50: float
    p99: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Paced:
    """Streams at 20 frames a second. Delays in milliseconds; ``cpu_us`` per frame."""

    name: str
    streams: int
    whole: int
    p50: float
    p99: float
    first_p50: float
    first_p99: float
    cpu_us: float
    cpu_share: float
    rss_mb: float


class Server:
    """A server under test, or the upstream."""

    def __init__(self, name: str, port: int, command: list[str]) -> None:
        self.name, self.port = name, port
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._await_listening()

    def _await_listening(self) -> None:
        for _ in range(400):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.025)
        raise SystemExit(f"{self.name} does not answer: {(self._process.stderr or sys.stdin).read()!r}")

    def _pids(self) -> list[int]:
        """The process, or nginx's worker."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [int(child) for child in children] or [self._process.pid]

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        ticks = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory now."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids())
        return pages * resource.getpagesize() / 2**20

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def upstream(core: int) -> Iterator[Server]:
    """The upstream, on its core."""
    port = free_port()
    server = Server("upstream", port, [sys.executable, "-m", "bench._chat_upstream", str(port), str(core)])
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def serving(name: str, behind: Server) -> Iterator[Server]:
    """A server of one kind in front of the upstream; the upstream itself for ``direct``."""
    if name == "direct":
        yield behind
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        server = Server(name, port, _command(name, port, behind.port, Path(folder)))
        try:
            yield server
        finally:
            server.stop()


def _command(name: str, port: int, upstream_port: int, folder: Path) -> list[str]:
    from bench._chat_servers import NGINX, envoy, envoy_config

    if name == "nginx":
        conf = folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=folder, port=port, upstream=upstream_port))
        return ["nginx", "-c", str(conf), "-p", str(folder), "-e", str(folder / "error.log")]
    if name == "envoy":
        conf = folder / "envoy.json"
        conf.write_text(json.dumps(envoy_config(port, upstream_port)))
        program = ["taskset", "-c", str(SERVER_CORE), str(envoy()), "--concurrency", "1"]
        return [*program, "--disable-hot-restart", "--log-level", "error", "-c", str(conf)]
    if name == "naive":
        url = f"http://127.0.0.1:{upstream_port}"
        return [sys.executable, "-m", "bench._chat_servers", "naive", str(port), url]
    config: dict[str, Any] = {
        "server": {"port": port},
        "admin": {"port": free_port()},
        "journal": {"path": str(folder / "relay.db")},
        "upstream": {"base_url": f"http://127.0.0.1:{upstream_port}"},
        "proxy": {"chunks": name},
        "log": {"level": "error"},
    }
    path = folder / "relay.yaml"
    path.write_text(json.dumps(config))
    return [sys.executable, "-m", "bench._chat_servers", "relay", str(path)]


def full_speed(server: Server, api: str, connections: int, seconds: int, core: int) -> Full:
    """A closed loop, after a warm-up."""
    _wrk(server, api, connections, 2, core)
    cpu = server.cpu_seconds()
    requests, micros, p50, p99, errors, _ = _wrk(server, api, connections, seconds, core)
    used = server.cpu_seconds() - cpu
    return Full(
        server.name,
        requests / (micros / 1e6),
        p50 / 1e3,
        p99 / 1e3,
        errors,
        used / requests * 1e6,
        server.rss_mb(),
    )


def _wrk(server: Server, api: str, connections: int, seconds: int, core: int) -> list[int]:
    url = f"http://127.0.0.1:{server.port}{PATHS[api]}?frames={FRAMES}"
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", str(HERE / "chat.lua"), url, "--", body(api, stream=True)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True).stdout
    return [int(field) for line in out.splitlines() if line.startswith("RESULT") for field in line.split()[1:]]


def calls(server: Server, api: str, rate: int, seconds: int) -> Calls:
    """So many calls a second, for so long."""
    result, cpu, _ = _load(server, "calls", api, [rate, seconds], seconds)
    return Calls(
        server.name,
        result["calls"],
        result["errors"],
        result["p50"],
        result["p99"],
        cpu / (rate * seconds) * 1e6,
    )


def paced(server: Server, api: str, streams: int, seconds: int) -> Paced:
    """So many streams at once, for so long."""
    watched = seconds - 3
    result, used, rss = _load(server, "streams", api, [streams, seconds * 1000 // PACE_MS, PACE_MS], watched)
    return Paced(
        server.name,
        streams,
        result["whole"],
        result["p50"],
        result["p99"],
        result["first_p50"],
        result["first_p99"],
        used / (streams * watched * 1000 / PACE_MS) * 1e6,
        used / watched,
        rss,
    )


def _load(server: Server, kind: str, api: str, numbers: list[int], watched: int) -> tuple[Any, float, float]:
    """What the load saw, and the server's CPU seconds and memory over the seconds ``watched`` from when it was up."""
    command = [sys.executable, "-m", "bench._chat_load", kind, str(server.port), api, str(LOAD_CORE)]
    load = subprocess.Popen([*command, *map(str, numbers)], stdout=subprocess.PIPE, text=True)
    assert load.stdout is not None
    while load.stdout.readline().strip() != "STARTED":
        if load.poll() is not None:
            raise SystemExit("the load has ended")
    cpu = server.cpu_seconds()
    time.sleep(watched)
    used, rss = server.cpu_seconds() - cpu, server.rss_mb()
    result = json.loads(load.stdout.read().partition("RESULT ")[2])
    load.wait()
    return result, used, rss


def main() -> None:
    """Runs everything and prints three tables for each API."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--api", nargs="+", default=["chat_completions"], choices=PATHS)
    parser.add_argument("--connections", type=int, default=32, help="of the closed loop")
    parser.add_argument("--seconds", type=int, default=6, help="of each run; 0 for no closed loop")
    parser.add_argument("--rate", type=int, default=500, help="calls a second without a stream; 0 for none")
    parser.add_argument("--streams", type=int, nargs="*", default=[10, 200, 1000], help="paced streams at once")
    options = parser.parse_args()
    for tool, package in (("wrk", "wrk"), ("nginx", "nginx-light")):
        if shutil.which(tool) is None:
            raise SystemExit(f"bench-chat needs {tool}: apt-get install {package}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    os.sched_setaffinity(0, {LOAD_CORE})
    for api in options.api:
        print(f"{api}:\n")
        if options.seconds:
            _report_full([_full(kind, api, options.connections, options.seconds) for kind in options.kinds])
        if options.rate:  # with or without chunk events: such a call has none
            _report_calls([_calls(kind, api, options.rate) for kind in options.kinds if kind not in ("off", "each")])
        if options.streams:
            _report_paced([_paced(kind, api, streams) for streams in options.streams for kind in options.kinds])


def _full(kind: str, api: str, connections: int, seconds: int) -> Full:
    # Directly the upstream is the server: it has that core for itself, too.
    with upstream(SERVER_CORE if kind == "direct" else LOAD_CORE) as behind, serving(kind, behind) as server:
        row = full_speed(server, api, connections, seconds, LOAD_CORE)
    print(kind, row, file=sys.stderr)
    return replace(row, name=kind)


def _calls(kind: str, api: str, rate: int) -> Calls:
    with upstream(LOAD_CORE) as behind, serving(kind, behind) as server:
        row = calls(server, api, rate, CALLS_SECONDS)
    print(kind, row, file=sys.stderr)
    return replace(row, name=kind)


def _paced(kind: str, api: str, streams: int) -> Paced:
    with upstream(LOAD_CORE) as behind, serving(kind, behind) as server:
        row = paced(server, api, streams, 8)
    print(kind, row, file=sys.stderr)
    return replace(row, name=kind)


def _report_full(rows: list[Full]) -> None:
    nginx = next((row.rate for row in rows if row.name == "nginx"), 0.0)
    print("| server | streams/s | of nginx | p50 ms | p99 ms | CPU us per stream | RSS MB |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        share = f"{row.rate / nginx:.2f}" if nginx else ""
        note = f" ({row.errors} errors)" if row.errors else ""
        print(
            f"| {row.name}{note} | {row.rate:,.0f} | {share} | {row.p50_ms:.1f} | {row.p99_ms:.1f} "
            f"| {row.cpu_us:.0f} | {row.rss_mb:.0f} |"
        )
    print()


def _report_calls(rows: list[Calls]) -> None:
    direct = next((row for row in rows if row.name == "direct"), None)
    print("| server | calls | p50 ms | p99 ms | over direct: p50 | p99 | CPU us per call |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        note = f" ({row.errors} errors)" if row.errors else ""
        over = f"{row.p50 - direct.p50:.2f} | {row.p99 - direct.p99:.2f}" if direct else " | "
        print(f"| {row.name}{note} | {row.calls:,} | {row.p50:.2f} | {row.p99:.2f} | {over} | {row.cpu_us:.0f} |")
    print()


def _report_paced(rows: list[Paced]) -> None:
    print(
        "| streams | server | first token p50 ms | p99 ms | frame p50 ms | p99 ms | CPU us per frame | cores | RSS MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        note = "" if row.whole == row.streams else f" ({row.streams - row.whole} broken)"
        print(
            f"| {row.streams} | {row.name}{note} | {row.first_p50:.2f} | {row.first_p99:.2f} | {row.p50:.2f} "
            f"| {row.p99:.2f} | {row.cpu_us:.1f} | {row.cpu_share:.2f} | {row.rss_mb:.0f} |"
        )


if __name__ == "__main__":
    main()
