"""One relay process that every case here meets, what a case cost it, and the good sender beside."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.hostile.upstream import Upstream
from tests.services.raw_http import post, wire
from tests.services.relay import TOKEN, RelayProcess

WEBHOOK = f"/webhooks/novita/{TOKEN}"
PATIENCE = 5.0
"""Seconds in which a good delivery must be acknowledged beside every case, on however busy a machine."""

_IMPATIENT = {"first_byte_timeout": "4s", "idle_timeout": "2s"}
_PAUSE = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Stage:
    """The relay and its upstream. ``acknowledged``: seconds that each good delivery took, of all cases so far."""

    relay: RelayProcess
    upstream: Upstream
    acknowledged: list[float] = field(default_factory=list)
    _sent: Iterator[int] = field(default_factory=count)

    @property
    def url(self) -> str:
        """The main listener."""
        return self.relay.url

    @property
    def memory(self) -> float:
        """Resident now, in MiB."""
        return _status(self.relay.pid, "VmRSS")

    @property
    def cpu(self) -> float:
        """Seconds of processor so far, of all threads."""
        fields = Path(f"/proc/{self.relay.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @asynccontextmanager
    async def case(self, *, mib: float, cpu: float) -> AsyncIterator[None]:
        """What happens inside may cost ``mib`` at its peak and ``cpu`` seconds of processor, the deliveries apart.

        Beside it a sender of webhooks gets each of them acknowledged.
        """
        before, used = self.memory, self.cpu
        self._forget_peak()
        ending = asyncio.Event()
        beside = asyncio.create_task(self._deliver_until(ending))
        try:
            yield
        finally:
            ending.set()
            delivered = await beside
        assert self.relay.process is not None
        assert self.relay.process.poll() is None, "the relay has ended"
        peak = _status(self.relay.pid, "VmHWM") - before
        spent = self.cpu - used - 0.004 * delivered
        assert peak <= mib, f"{peak:.0f} MiB, and {mib:.0f} are allowed"
        assert spent <= cpu, f"{spent:.1f} s of processor, and {cpu:.1f} are allowed"

    def _forget_peak(self) -> None:
        Path(f"/proc/{self.relay.pid}/clear_refs").write_text("5")  # VmHWM begins anew (proc(5))

    async def _deliver_until(self, ending: asyncio.Event) -> int:
        delivered = 0
        while not ending.is_set() or not delivered:
            async with asyncio.timeout(PATIENCE), wire(self.url) as connection:
                started = time.perf_counter()
                await connection.send(post(WEBHOOK, _task(f"good-{next(self._sent)}")))
                reply = await connection.answer()
                self.acknowledged.append(time.perf_counter() - started)
            assert (reply.status, reply.json["status"]) == (200, "accepted"), reply
            delivered += 1
            await asyncio.sleep(_PAUSE)
        return delivered


@contextmanager
def staged(directory: Path, **sections: Any) -> Iterator[Stage]:
    """A relay in its own process before an upstream in a thread."""
    upstream = Upstream()
    with _in_a_thread(upstream):
        relay = RelayProcess(directory, upstream={"base_url": upstream.url, **_IMPATIENT}, **sections)
        asyncio.run(relay.start())
        try:
            yield Stage(relay, upstream)
        finally:
            relay.kill()


@contextmanager
def _in_a_thread(upstream: Upstream) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(upstream.start())
    thread = threading.Thread(target=loop.run_forever, name="upstream")
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(upstream.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"{name} of {pid} is not known")


def _task(task_id: str) -> bytes:
    return f'{{"task":{{"task_id":"{task_id}","status":"TASK_STATUS_SUCCEED"}}}}'.encode()
