"""Lets the conformance suite of sinks run against Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from relay.core.event import TOPICS, Event
from relay.core.sink import Identity, Sink
from relay.sinks.kafka import Config, connect
from tests.services.kafka import Kafka, KafkaBroker, Record, kcat_read, running_broker

_running = ExitStack()


@cache
def _broker() -> KafkaBroker:
    return _running.enter_context(running_broker())


def attributes_of(record: Record) -> dict[str, str]:
    """CloudEvents attributes from the headers of binary content mode."""
    names = {"content-type": "datacontenttype"}
    return {names.get(name, name.removeprefix("ce_")): value or "" for name, value in record.headers.items()}


class Harness:
    """One namespace on the suite's own broker; ``lose`` stops the broker's process with SIGSTOP."""

    def __init__(self, tmp_path: Path) -> None:
        self._lost = False

    async def start(self) -> None:
        self._broker = await asyncio.to_thread(_broker)
        self._prefix = Kafka(self._broker.bootstrap).topic_prefix()

    def connect(self, identity: Identity, topics: Sequence[str] = TOPICS) -> Sink:
        config = Config(
            type="kafka",
            bootstrap_servers=self._broker.bootstrap,
            prefix=self._prefix,
            partitions=3,
            open_timeout=10,
            publish_timeout=3,
            close_timeout=2,
        )
        return connect(config, identity, topics)

    async def read(self, topic: str) -> list[tuple[dict[str, str], bytes]]:
        records = await asyncio.to_thread(kcat_read, self._broker.bootstrap, self._prefix + topic)
        return [(attributes_of(record), record.value or b"") for record in records]

    def oversized(self) -> Event | None:
        return Event(
            topic="tasks",
            type="relay.task.succeeded",
            id="oversized:succeeded",
            source="https://api.novita.ai/webhook/task-result",
            subject="oversized",
            time="2026-01-01T00:00:00Z",
            data=b'"' + b"x" * (1024 * 1024) + b'"',
        )

    async def lose(self) -> None:
        self._broker.pause()
        self._lost = True

    async def restore(self) -> None:
        self._broker.resume()
        self._lost = False

    async def stop(self) -> None:
        if self._lost:
            await self.restore()

    @classmethod
    def end(cls) -> None:
        _running.close()
        _broker.cache_clear()
