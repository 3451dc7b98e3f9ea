"""The load generator's record of each 2xx, on disk, so that it outlives whatever the test does to the machine."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import orjson

from tests.faults.harness.oracle import Acknowledged, digest


class Record:
    """One line of JSON per 2xx, synced; those that arrive in the same turn of the event loop share a sync."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._waiting: list[bytes] = []

    def note(self, event_id: str, body: bytes) -> None:
        """One 2xx, now."""
        line = {"event_id": event_id, "content": digest(body), "at": time.monotonic()}
        self._waiting.append(orjson.dumps(line) + b"\n")
        self.count += 1
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._sync)

    def _sync(self) -> None:
        lines, self._waiting = self._waiting, []
        if lines:
            os.write(self._file, b"".join(lines))
            os.fdatasync(self._file)

    def read(self) -> Acknowledged:
        """What the file says, not what this process remembers."""
        self._sync()
        acknowledged = Acknowledged()
        for line in self.path.read_bytes().splitlines():
            entry = orjson.loads(line)
            acknowledged.note(entry["event_id"], entry["content"], entry["at"])
        return acknowledged

    def close(self) -> None:
        """No more will be noted."""
        self._sync()
        os.close(self._file)
