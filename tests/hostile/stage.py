"""One relay process that every case here meets, what a case cost it, and the good sender beside."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.hostile.sender import WEBHOOK as WEBHOOK
from tests.hostile.sender import Seen
from tests.hostile.upstream import Upstream
from tests.services.raw_http import Wire
from tests.services.relay import RelayProcess

SLACK: Final = 4.0
"""Seconds that a busy machine may add to a limit in time of the relay's."""

_IMPATIENT = {"first_byte_timeout": "4s", "idle_timeout": "2s"}
_TICKS = os.sysconf("SC_CLK_TCK")


class Companion:
    """The good sender's process. ``pause`` in seconds; ``authorities``: of a relay with TLS, behind a proxy."""

    def __init__(self, relay: RelayProcess, pause: float, authorities: Path | None) -> None:
        facts = (relay.port, relay.admin_port, relay.pid, pause, *filter(None, (authorities,)))
        command = [sys.executable, "-m", "tests.hostile.sender", *map(str, facts)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self) -> None:
        """From now on."""
        self._say()

    def end(self) -> Seen:
        """What it saw since ``begin``."""
        self._say()
        assert self._process.stdout is not None
        return Seen(**json.loads(self._process.stdout.readline()))

    def _say(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(".")
        self._process.stdin.flush()

    def stop(self) -> None:
        """Ends the process."""
        self._process.communicate(timeout=10)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one case took: MiB at its peak and seconds of processor; ``seen`` by the good sender beside it."""

    name: str
    mib: float
    cpu: float
    seen: Seen


@dataclass
class Stage:
    """The relay and its upstream. ``costs``: those of all cases so far."""

    relay: RelayProcess
    upstream: Upstream
    companion: Companion
    costs: list[Cost] = field(default_factory=list)

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
    async def case(self, *, mib: float, cpu: float, loop: float) -> AsyncIterator[None]:
        """What happens inside may cost ``mib`` at its peak and ``cpu`` seconds of processor, the deliveries apart.

        ``loop``: milliseconds of processor, at most, for which the relay serves nobody else. Beside the case a sender
        of webhooks gets each of them acknowledged.
        """
        before, used = self.memory, self.cpu
        self._forget_peak()
        self.companion.begin()
        try:
            yield
        finally:
            seen = await asyncio.to_thread(self.companion.end)
        assert self.relay.process is not None
        assert self.relay.process.poll() is None, "the relay has ended"
        assert not seen.failed, seen.failed
        peak = _status(self.relay.pid, "VmHWM") - before
        spent = self.cpu - used - 0.004 * len(seen.acknowledged)
        self.costs.append(Cost(_test(), peak, spent, seen))
        assert peak <= mib, f"{peak:.0f} MiB, and {mib:.0f} are allowed"
        assert spent <= cpu, f"{spent:.1f} s of processor, and {cpu:.1f} are allowed"
        assert seen.standstill * 1e3 <= loop, f"{seen.standstill * 1e3:.0f} ms for itself, and {loop:.0f} are allowed"

    def _forget_peak(self) -> None:
        Path(f"/proc/{self.relay.pid}/clear_refs").write_text("5")  # VmHWM starts over (proc(5))


async def closes(connection: Wire, within: float) -> bytes:
    """What comes until the relay closes the connection, which is open for so many seconds at most."""
    received = bytearray()
    try:
        async with asyncio.timeout(within + SLACK):
            while piece := await connection.reader.read(65_536):
                received += piece
    except TimeoutError:
        raise AssertionError(f"still open after {within + SLACK:.0f} s, and {within:.0f} are allowed") from None
    except ConnectionError:
        pass  # it was reset: that is closed, too
    return bytes(received)


@contextmanager
def staged(
    directory: Path, *, pause: float = 0.02, authorities: Path | None = None, **sections: Any
) -> Iterator[Stage]:
    """A relay in its own process before an upstream in a thread. ``pause``, ``authorities``: for the good sender."""
    upstream = Upstream()
    with _in_a_thread(upstream):
        relay = RelayProcess(directory, upstream={"base_url": upstream.url, **_IMPATIENT}, **sections)
        asyncio.run(relay.start())
        try:
            companion = Companion(relay, pause, authorities)
            try:
                yield Stage(relay, upstream, companion)
            finally:
                companion.stop()
        finally:
            relay.kill()


def _test() -> str:
    """The name of the test that runs."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[2].rpartition(" ")[0]


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
