"""Steady deliveries to one address while something happens, and the judgement of what became of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.faults.harness.load import Load
from tests.faults.harness.oracle import Acknowledged, Evidence, Seen, judge

RATE = 10
"""Deliveries a second of each of the two senders."""
ARRIVES_WITHIN = 90.0
REPEATED_LATE = 3.0
"""Seconds that an event may take to come a second time, after all have come."""

Read = Callable[[], Awaitable[list[Seen]]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What senders saw, and what consumers did."""

    acknowledged: int = 0
    sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Of the senders, by status or exception, those of kept and of new connections apart."""
    slowest: float = 0.0
    """Seconds to the slowest 2xx."""
    lost: int = 0
    repeated: int = 0
    changed: int = 0

    @property
    def holds(self) -> bool:
        """Whether each acknowledged event is there, once and as it was sent."""
        return not (self.lost or self.repeated or self.changed)


class Traffic:
    """``async with``: two senders, one that keeps its connections and one that makes a new one each time.

    Both repeat a tenth of their deliveries, and each delivery until it has its 2xx. ``url`` may change meanwhile.
    """

    def __init__(self, url: Callable[[], str], folder: Path, seed: int) -> None:
        # A contradiction at another replica is answered as the ending that it would be there, and published as what it
        # is: the oracle compares by that name, so there are none.
        self._loads = {
            name: Load(url, folder / name, rate=RATE, seed=seed + kept, contradicting=0.0, kept=kept)
            for name, kept in (("kept", True), ("new", False))
        }

    async def __aenter__(self) -> Self:
        for load in self._loads.values():
            await load.start()
        return self

    async def __aexit__(self, failed: object, *_: object) -> None:
        for load in self._loads.values():
            await (load.stop() if failed is None else load.abandon())

    async def acknowledged(self, count: int) -> None:
        """Returns when so many further deliveries have their 2xx."""
        goal = self._count() + count
        async with asyncio.timeout(120):
            while self._count() < goal:
                await asyncio.sleep(0.02)

    async def outcome(self, read: Read, before: Iterable[str]) -> Outcome:
        """After the end; waits for what is under way. ``before``: ids of which it is known that they came twice."""
        acknowledged = self._acknowledged()
        await _arrived(read, acknowledged)
        await asyncio.sleep(REPEATED_LATE)
        verdict = judge(Evidence(acknowledged, await read()))
        tallies = [(name, load.tally) for name, load in self._loads.items()]
        answers = {f"{each} ({name})": n for name, tally in tallies for each, n in tally.answers.items()}
        return Outcome(
            acknowledged=len(acknowledged.ids),
            sent=sum(tally.sent for _, tally in tallies),
            errors=Counter({each: n for each, n in answers.items() if not each.startswith("200 ")}),
            slowest=max(tally.percentile(1.0) for _, tally in tallies),
            lost=len(verdict.lost),
            repeated=len(set(verdict.repeated).difference(before)),
            changed=len(verdict.changed),
        )

    def _count(self) -> int:
        return sum(load.record.count for load in self._loads.values())

    def _acknowledged(self) -> Acknowledged:
        both = Acknowledged()
        for load in self._loads.values():
            found = load.record.read()
            for event_id, body in found.bodies.items():
                both.note(event_id, body, found.times[event_id])
        return both


async def _arrived(read: Read, acknowledged: Acknowledged) -> None:
    """Returns when everything is there, or when there was time enough for it."""
    deadline = time.monotonic() + ARRIVES_WITHIN
    while time.monotonic() < deadline:
        if acknowledged.ids.keys() <= {event.id for event in await read()}:
            return
        await asyncio.sleep(0.5)
