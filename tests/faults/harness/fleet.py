"""Several relays that feed one sink, behind a balancer that deals deliveries out in turn."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from relay.journal import inspect
from tests.faults.harness.targets import Target
from tests.services.relay import RelayProcess

STATES = ("published", "pending", "dead", "absorbed")


class Fleet:
    """``async with``: all are up. ``webhook_url`` is the next one's, dead or alive, as a balancer's without checks."""

    def __init__(self, directory: Path, target: Target, count: int = 3, **sections: Any) -> None:
        self.label = target.label
        self.relays = [
            RelayProcess(directory / f"relay-{n}", sinks=[target.sink], identity=f"relay-{n}", **sections)
            for n in range(count)
        ]
        self._turns = itertools.cycle(self.relays)

    @property
    def webhook_url(self) -> str:
        return next(self._turns).webhook_url

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(relay.start() for relay in self.relays))
        return self

    async def __aexit__(self, *_: object) -> None:
        for relay in self.relays:
            relay.kill()

    async def until_drained(self, within: float = 120.0) -> None:
        """Returns when every relay has settled everything."""
        async with asyncio.timeout(within):
            for relay in self.relays:
                await relay.until_drained(within)

    async def facts(self, result: str) -> int:
        """How often the shared index was asked with this result, in all processes that live."""
        asked = [await relay.metric("relay_shared_index_facts_total", result=result) for relay in self.relays]
        return int(sum(asked))

    async def balances(self) -> list[dict[str, int]]:
        """Each relay's loss balance, by state, with what was accepted."""
        return [await self._balance(relay) for relay in self.relays]

    async def _balance(self, relay: RelayProcess) -> dict[str, int]:
        states = {state: int(await relay.metric("relay_sink_events", sink=self.label, state=state)) for state in STATES}
        return {**states, "accepted": int(await relay.metric("relay_sink_events_accepted", sink=self.label))}

    async def stop(self) -> list[inspect.Finding]:
        """Stops all in order; answers what is wrong with their journals."""
        assert await asyncio.gather(*(relay.stop() for relay in self.relays)) == [0] * len(self.relays)
        return [finding for relay in self.relays for finding in _verified(relay.directory / "relay.db")]


class Killing:
    """``async with``: kills and restarts some of a fleet at random, until it ends; then all are up."""

    def __init__(self, relays: Sequence[RelayProcess], dice: random.Random, every: tuple[float, float]) -> None:
        self._relays, self._dice, self._every = relays, dice, every
        self._stopping = asyncio.Event()
        self.kills = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await self._task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            victim = self._dice.choice(self._relays)
            await self._wait(self._dice.uniform(*self._every))
            await asyncio.to_thread(victim.kill)
            self.kills += 1
            await self._wait(self._dice.uniform(0.0, self._every[1] / 2))
            await victim.start()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def _verified(path: Path) -> list[inspect.Finding]:
    store = inspect.open_existing(path)
    try:
        return inspect.verify(store)[1]
    finally:
        store.close()
