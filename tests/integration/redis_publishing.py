"""What the integration tests of the Redis sink share: events, a small publisher, and a reader that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay.core.event import TASKS, Entry, Event
from relay.core.sink import Batch, Checkpoint, Identity, Sink, SinkUnavailable
from relay.sinks.redis import Config, connect
from tests.services.redis import redis_cli_read

BOUND = 20.0
Connect = Callable[..., Sink]


@asynccontextmanager
async def sinks() -> AsyncIterator[Connect]:
    """A factory of sinks with short timeouts, closed at the end: ``make(url, instance=..., **config)``."""
    made: list[Sink] = []

    def make(url: str, *, instance: str = "instance-1", name: str = "relay-0", **config: Any) -> Sink:
        keys = {"type": "redis", "url": url, "socket_timeout": "1s", "socket_connect_timeout": "1s"}
        config = {"wait_timeout": "200ms", **config}
        made.append(connect(Config.model_validate(keys | config), Identity(name, instance)))
        return made[-1]

    yield make
    for sink in made:
        await sink.close()


def entry(number: int, topic: str = TASKS, size: int = 2) -> Entry:
    data = b'"' + b"x" * (size - 2) + b'"'
    return Entry(number, 0, Event(topic, "relay.task.succeeded", f"event-{number}", "test", "task-1", "now", data))


def batch(first: int, last: int) -> Batch:
    return Batch([entry(n) for n in range(first, last + 1)], Checkpoint("journal-1", last))


async def deliver(sink: Sink, last: int, size: int = 5) -> None:
    """Publish events up to ``last`` from the sink's own checkpoint on, as the publisher does, until all are there."""
    async with asyncio.timeout(BOUND):
        while True:
            try:
                held = await sink.open()
                for first in range(held.offset + 1 if held else 1, last + 1, size):
                    await sink.publish(batch(first, min(first + size - 1, last)))
                return
            except SinkUnavailable:
                await asyncio.sleep(0.1)


async def unavailable(attempt: Awaitable[object]) -> SinkUnavailable:
    with pytest.raises(SinkUnavailable) as caught:
        await attempt
    return caught.value


def ids(where: str | int, prefix: str = "{relay}:", topic: str = TASKS) -> list[str]:
    return [fields["id"].decode() for _, fields in redis_cli_read(where, prefix + topic)]


def expected_ids(last: int) -> list[str]:
    return [f"event-{n}" for n in range(1, last + 1)]
