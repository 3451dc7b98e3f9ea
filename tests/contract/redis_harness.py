"""Redis and Valkey in the conformance suite of sinks (``test_sinks.py``), read back through redis-cli."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from relay.core.event import TASKS, TOPICS, Event
from relay.core.sink import Identity, Sink
from relay.sinks.redis import Config, connect
from tests.services.redis import RedisServer, redis_cli_read
from tests.services.valkey_install import valkey_server

MAX_EVENT_BYTES = 64 * 1024


class Harness:
    """A Redis of its own for each test, since tests kill it; it starts in a tenth of a second."""

    def __init__(self, tmp_path: Path, program: str = "redis-server") -> None:
        self._server = RedisServer(tmp_path / "redis", program=program)
        self._prefix = self._server.redis.prefix()

    async def start(self) -> None:
        await self._server.start()

    def connect(self, identity: Identity, topics: Sequence[str] = TOPICS) -> Sink:
        timeouts = {"socket_timeout": "2s", "socket_connect_timeout": "2s"}
        keys = {"url": self._server.url, "prefix": self._prefix, "max_event_bytes": MAX_EVENT_BYTES}
        return connect(Config.model_validate({"type": "redis", **keys, **timeouts}), identity, topics)

    async def read(self, topic: str) -> list[tuple[dict[str, str], bytes]]:
        entries = await asyncio.to_thread(redis_cli_read, self._server.port, self._prefix + topic)
        return [({k: v.decode() for k, v in fields.items() if k != "data"}, fields["data"]) for _, fields in entries]

    def oversized(self) -> Event | None:
        data = b'"' + b"x" * MAX_EVENT_BYTES + b'"'
        return Event(TASKS, "relay.task.succeeded", "huge", "test", "task-huge", "2025-06-01T12:00:00Z", data)

    async def lose(self) -> None:
        self._server.kill()

    async def restore(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        self._server.kill()

    @classmethod
    def end(cls) -> None:
        """Nothing is shared."""


class OnValkey(Harness):
    """The same sink on Valkey 8."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path, valkey_server())


ALSO = {"valkey": OnValkey}
"""Other brokers that this sink is for."""
