"""A server under test: its process, its metrics, and what it costs."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

TOKEN = "bench-token-of-enough-length-0123456789"


class Server:
    """A server under test on its core."""

    def __init__(self, name: str, arguments: list[str], port: int, admin: int | None) -> None:
        self.name, self.port, self.admin = name, port, admin
        self.url = f"http://127.0.0.1:{port}/webhooks/novita/{TOKEN}"
        self.process = subprocess.Popen([sys.executable, "-m", "bench._servers", *arguments], stderr=subprocess.DEVNULL)

    def wait(self) -> None:
        """Returns when it listens."""
        for _ in range(400):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.admin or self.port}/readyz"):
                return
            if self.admin is None:
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                    return
            time.sleep(0.025)
        raise SystemExit(f"{self.name} does not answer")

    def metric(self, name: str) -> float:
        """The sum of a metric's samples; 0 without metrics."""
        if self.admin is None:
            return 0.0
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def buckets(self, name: str) -> list[tuple[float, float]]:
        """A histogram's bounds and how many observations lie at or below each."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as response:
            found = re.findall(rf'^{name}_bucket{{.*le="([^"]+)".*}} (\S+)$', response.read().decode(), re.MULTILINE)
        return [(float(bound), float(below)) for bound, below in found]

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory now."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * resource.getpagesize() / 2**20

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
