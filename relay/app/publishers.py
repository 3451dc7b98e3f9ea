"""All publishers of a relay: how far their sinks are, and in which order they end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from relay.clocks import until
from relay.core.sink import SinkConfig
from relay.publishing.publisher import Publisher
from relay.telemetry.signals.sinks import SinkSignals


class Publishers:
    def __init__(self) -> None:
        self._running: dict[Publisher, tuple[asyncio.Task[None], SinkSignals]] = {}

    def __iter__(self) -> Iterator[Publisher]:
        return iter(self._running)

    def start(self, publisher: Publisher, signals: SinkSignals) -> asyncio.Task[None]:
        """The task in which it publishes from now on; its ``signals`` say whether the sink takes anything."""
        task = asyncio.create_task(publisher.run(), name=f"publisher {publisher.label}")
        self._running[publisher] = task, signals
        return task

    def reconfigure(self, configs: Mapping[str, SinkConfig]) -> None:
        """Has the sinks go on with these configurations, by label, as far as they can."""
        for publisher in self._running:
            publisher.reconfigure(configs[publisher.label])

    def have(self, offset: int) -> bool:
        """Whether every sink has shown that it has all events up to this one."""
        return all(publisher.has(offset) for publisher in self._running)

    async def catch_up(self, offset: int, timeout: float) -> None:
        """Returns when the sinks that are up have all events up to this one, or after ``timeout`` seconds."""
        await until(lambda: all(each.has(offset) for each in self._up()), timeout)

    def stop_late(self, offset: int) -> set[asyncio.Task[None]]:
        """Has those end whose sinks are down or have not got all events up to this one; the tasks of the others."""
        on_time = {publisher for publisher in self._up() if publisher.has(offset)}
        for publisher in self._running.keys() - on_time:
            publisher.stop()
        return {self._running[publisher][0] for publisher in on_time}

    def stop(self) -> None:
        """Has each end after the batch under way."""
        for publisher in self._running:
            publisher.stop()

    def _up(self) -> Iterator[Publisher]:
        return (each for each, (task, signals) in self._running.items() if signals.up and not task.done())
