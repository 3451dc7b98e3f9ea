"""What every fault test is made of: a relay, its sinks, a load, a timeline of what was done to them, a verdict."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from tests.faults.harness.load import SIGNATURE, Load
from tests.faults.harness.matrix import Row
from tests.faults.harness.oracle import Balance, Evidence, Usage, Verdict, judge
from tests.faults.harness.targets import Target
from tests.services.relay import TOKEN, RelayProcess

SAMPLE_EVERY = 1.0
STEADY = 50
"""2xx after which a load counts as under way."""


class Trial:
    """``async with``: the relay is up and the load runs. Break something, then ``conclude``.

    ``rate`` in deliveries a second; 0: the test sends by itself, and notes each 2xx in ``load.record``. ``sections``
    are the relay's configuration; ``program`` is what stands for ``relay`` (see ``tests.faults.harness.launch``).
    ``prunes``: what was published is gone from the journal by the end, so that the balance cannot be held against it.
    """

    def __init__(
        self,
        directory: Path,
        *targets: Target,
        row: Row,
        rate: float = 0.0,
        program: Sequence[str] = (),
        load: dict[str, Any] | None = None,
        prunes: bool = False,
        **sections: Any,
    ) -> None:
        self.row, self.targets, self.program = row, targets, tuple(program)
        self.relay = RelayProcess(directory / "relay", sinks=[target.sink for target in targets], **sections)
        self.load = Load(lambda: self.relay.webhook_url, directory / "record", rate=rate, seed=row.seed, **(load or {}))
        self.closed: list[tuple[float, float]] = []
        self.events: list[tuple[float, str]] = []
        self.usage: list[Usage] = []
        self.first_start = 0.0
        self._sampling: asyncio.Task[None] | None = None
        self._prunes = prunes
        self.rival: set[str] = set()
        self.stranded: set[str] = set()
        """What another relay has, and what of it is not published: see ``Evidence``."""
        row.load = row.load or f"{rate:g}/s"

    async def __aenter__(self) -> Self:
        self.first_start = await self.relay.start(*self.program)
        if self.load.rate:
            await self.load.start()
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._sampling is not None
        self._sampling.cancel()
        await asyncio.gather(self._sampling, return_exceptions=True)
        await self.load.abandon()
        with contextlib.suppress(ProcessLookupError):
            self.relay.resume()
        self.relay.kill()

    # -- what is done --------------------------------------------------------------------------------------------

    def injected(self, fault: str) -> None:
        """Adds an injected fault to the report and to the timeline."""
        self.row.injected(fault)
        self.happened(fault)

    def happened(self, what: str) -> None:
        """Adds a line to the timeline, which explains a failed verdict."""
        self.events.append((time.monotonic(), what))

    async def acknowledged(self, count: int = STEADY, within: float = 60.0) -> None:
        """Returns when this many further deliveries have their 2xx."""
        goal = self.load.record.count + count
        async with self._bounded(within):
            while self.load.record.count < goal:
                await asyncio.sleep(0.01)

    async def published(self, count: int = 1, within: float = 60.0) -> None:
        """Returns when the first sink has taken this many further events since the relay's start."""
        label = self.targets[0].label
        goal = await self.relay.metric("relay_published_total", sink=label) + count
        async with self._bounded(within):
            while await self.relay.metric("relay_published_total", sink=label) < goal:
                await asyncio.sleep(0.02)

    async def settled(self, within: float = 60.0) -> None:
        """Returns when the first sink has settled all that is accepted now, whatever comes meanwhile.

        To wait for no lag at all while a load runs would be to wait for luck.
        """
        label = self.targets[0].label
        goal = await self.relay.metric("relay_sink_events_accepted", sink=label)
        async with self._bounded(within):
            while await self._settled(label) < goal:
                await asyncio.sleep(0.02)

    async def _settled(self, label: str) -> float:
        return sum([await self.relay.metric("relay_sink_events", sink=label, state=state) for state in _SETTLED])

    @contextlib.asynccontextmanager
    async def _bounded(self, within: float) -> AsyncIterator[None]:
        """Adds what the relay did meanwhile to the error of a wait that timed out."""
        try:
            async with asyncio.timeout(within):
                yield
        except (TimeoutError, OSError) as error:
            code = self.relay.process and self.relay.process.poll()
            state = "runs" if code is None else f"has ended with {code}"
            log = self.relay.log.read_text()[-4000:]
            raise AssertionError(f"timed out; the relay {state}; {self.load.tally.answers}\n{log}") from error

    async def kill(self) -> None:
        """``kill -9`` of the relay."""
        self.injected("kill -9")
        await asyncio.to_thread(self.relay.kill)

    async def restart(self) -> float:
        """Starts it again; the seconds until it was ready."""
        seconds = await self.relay.start(*self.program)
        self.happened("ready again")
        return seconds

    async def died(self, within: float = 30.0) -> int:
        """Waits for the relay to end by itself; its exit code."""
        return await self.relay.ended(within)

    @contextlib.contextmanager
    def journal_closed(self) -> Iterator[None]:
        """While this lasts the journal cannot commit, and so no 2xx may come (I5)."""
        started = time.monotonic()
        yield
        self.closed.append((started, time.monotonic()))

    # -- the verdict ----------------------------------------------------------------------------------------------

    async def conclude(self, within: float = 60.0) -> list[Verdict]:
        """Ends load and relay, reads the sinks, and demands that every promise was kept."""
        verdicts = await self.judged(within)
        for verdict in verdicts:
            assert verdict.holds, self._explained(verdict)
        return verdicts

    async def judged(self, within: float = 60.0) -> list[Verdict]:
        """The same without the demand: one verdict per sink."""
        await self.load.stop()
        undrained = await self._drain(within)
        await self._look()
        balances = await self.balances()
        outputs = await self.stopped()
        await asyncio.to_thread(self._verify)
        acknowledged = self.load.record.read()
        own = journalled(self.relay)
        verdicts = []
        for target, balance in zip(self.targets, balances, strict=True):
            evidence = Evidence(
                acknowledged,
                await target.read(),
                None if self._prunes else balance,
                self.closed,
                undrained,
                self.usage,
                outputs,
                secrets=[TOKEN],
                presigned=[SIGNATURE],
                own=own,
                rival=self.rival,
                stranded=self.stranded,
            )
            verdict = judge(evidence)
            self.row.judged(verdict, len(acknowledged.ids))
            print(f"{self.row.number} {target.label}: {len(acknowledged.ids)} acknowledged, {verdict}")
            verdicts.append(verdict)
        print(f"{self.load.tally}, p99 {self.load.tally.percentile(0.99) * 1e3:.1f} ms")
        return verdicts

    async def balances(self) -> list[Balance]:
        """Of each sink, in their order."""
        return [await self._balance(target.label) for target in self.targets]

    async def stopped(self) -> dict[str, bytes]:
        """Ends the relay, which has to exit with 0; all that it has shown and written, by name."""
        outputs = {"metrics": (await self.relay.exposition()).encode()}
        code = await self.relay.stop()
        outputs["log"] = self.relay.log.read_bytes()
        assert code == 0, self.relay.log.read_text()[-2000:]
        return outputs

    async def _drain(self, within: float) -> int:
        """What is left when the time is over; 0: everything is out."""
        with contextlib.suppress(TimeoutError):
            await self.relay.until_drained(within)
        return int(await self.relay.metric("relay_publish_lag_events"))

    async def _balance(self, label: str) -> Balance:
        states = [int(await self.relay.metric("relay_sink_events", sink=label, state=state)) for state in _STATES]
        accepted = await self.relay.metric("relay_sink_events_accepted", sink=label)
        return Balance(int(await self.relay.metric("relay_journal_events")), int(accepted), *states)

    def _verify(self) -> None:
        """``relay journal verify`` finds nothing wrong in what the relay left behind."""
        command = [sys.executable, "-m", "relay", "journal", "verify", "--config", str(self.relay.config)]
        done = subprocess.run(command, timeout=60, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY)
            await self._look()

    async def _look(self) -> None:
        with contextlib.suppress(OSError, ProcessLookupError, ValueError):  # it is just being killed
            self.usage.append(usage_of(self.relay.pid))

    def _explained(self, verdict: Verdict) -> str:
        """The verdict with what had been done before each bad event was acknowledged."""
        times = self.load.record.read().times
        lines = [str(verdict)]
        for kind in ("lost", "repeated", "reordered", "changed"):
            for event_id in getattr(verdict, kind)[:5]:
                at = times.get(event_id, 0.0)
                before = [f"{what} ({at - when:.3f} s before)" for when, what in self.events if when <= at]
                lines.append(f"{kind} {event_id}: acknowledged after {before[-1:] or 'the start'}")
        return "\n".join(lines)


_STATES = ("published", "absorbed", "pending", "dead")
_SETTLED = ("published", "absorbed", "dead")


def journalled(relay: RelayProcess, after: int = 0) -> set[str]:
    """The ids of the events in the journal that an ended relay has left, those beyond an offset."""
    with closing(sqlite3.connect(relay.journal)) as journal:
        rows = journal.execute("SELECT id FROM events WHERE topic = 'tasks' AND \"offset\" > ?", (after,))
        return {id for (id,) in rows}


def usage_of(pid: int) -> Usage:
    """A process's memory, descriptors and threads. Raises ``OSError`` when it is gone."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    rss = int(status.get("VmRSS", "0").split()[0]) * 1024
    return Usage(rss, len(list((process / "fd").iterdir())), int(status["Threads"]))
