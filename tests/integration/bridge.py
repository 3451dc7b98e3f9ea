"""A relay in this process, configured by a file as users write it, between a sender and real sinks."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from relay.app.plugins import sink_configs
from relay.app.relay import Relay
from relay.settings import load
from tests.services.kafka import Kafka

TOKEN = "t0k3n-of-the-receiver-0123456789abcdef"
WITHIN = 30.0

Sink = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What an HTTP client saw."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class States:
    """Where a sink's events are, by ``relay_sink_events``."""

    published: int
    pending: int
    dead: int
    absorbed: int = 0

    @property
    def total(self) -> int:
        return self.published + self.pending + self.dead + self.absorbed


def kafka_sink(kafka: Kafka, prefix: str, **keys: Any) -> Sink:
    """The configuration of a Kafka sink."""
    return {"type": "kafka", "bootstrap_servers": kafka.bootstrap, "prefix": prefix, **keys}


def redis_sink(url: str, prefix: str, **keys: Any) -> Sink:
    """The configuration of a Redis sink."""
    return {"type": "redis", "url": url, "prefix": prefix, "socket_connect_timeout": "1s", **keys}


def sum_of(exposition: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry these labels."""
    total = 0.0
    for line in exposition.splitlines():
        sample, _, value = line.rpartition(" ")
        if sample.partition("{")[0] == name and all(f'{k}="{v}"' in sample for k, v in labels.items()):
            total += float(value)
    return total


class Bridge:
    """``start``, ``deliver``, ``stop``; ``start`` again on the same journal, with other ``sinks`` or ``sections``.

    A section's settings are added to those of every bridge; a single setting (``identity``) replaces its own.
    """

    def __init__(self, directory: Path, *sinks: Sink, **sections: Any) -> None:
        self.directory = directory
        self.sinks = list(sinks)
        self.sections = sections
        self._relay: Relay | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def journal(self) -> Path:
        return self.directory / "relay.db"

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def running(self) -> Relay:
        assert self._relay is not None, "the relay is not running"
        return self._relay

    def _written(self) -> Path:
        config: dict[str, Any] = {
            "server": {"port": 0, "drain_timeout": "5s"},
            "admin": {"port": 0},
            "journal": {"path": str(self.journal)},
            "webhooks": {"novita": {"tokens": [TOKEN]}},
            "identity": "bridge-0",
            "sinks": [dict(sink) for sink in self.sinks],
        }
        for name, section in self.sections.items():
            config[name] = {**config.get(name, {}), **section} if isinstance(section, Mapping) else section
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "relay.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        return path

    async def start(self) -> None:
        """Starts it; the sinks may still be opening."""
        self._relay = Relay(load(self._written(), {}, sink_configs()))
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WITHIN))
        try:
            async with asyncio.timeout(WITHIN):
                await self._relay.start()
        except BaseException:
            await self._session.close()
            self._relay = self._session = None
            raise

    async def stop(self) -> None:
        """Stops it in an orderly way; safe to call when it is not running."""
        relay, session = self._relay, self._session
        self._relay = self._session = None
        if session is not None:
            await session.close()
        if relay is not None:
            async with asyncio.timeout(WITHIN):
                await relay.stop()

    async def restart(self) -> None:
        """Stops and starts, so that changed ``sinks`` and ``sections`` count."""
        await self.stop()
        await self.start()

    async def request(self, method: str, path: str, *, admin: bool = False, **options: Any) -> Answer:
        """Any request to the main listener, or to the admin listener."""
        assert self._session is not None
        base = self.running.admin_url if admin else self.running.url
        async with self._session.request(method, base + path, **options) as response:
            text = await response.text()
            is_json = "json" in response.headers.get("Content-Type", "")
            return Answer(response.status, response.headers, json.loads(text) if is_json else text)

    async def deliver(self, body: bytes) -> Answer:
        """One delivery, as the upstream posts it."""
        headers = {"Content-Type": "application/json"}
        data = body if len(body) < 1 << 16 else io.BytesIO(body)
        return await self.request("POST", f"/webhooks/novita/{TOKEN}", data=data, headers=headers)

    async def accept(self, *bodies: bytes) -> list[str]:
        """Deliveries one after the other that are all accepted; their event ids."""
        ids: list[str] = []
        for body in bodies:
            answer = await self.deliver(body)
            assert (answer.status, answer.body["status"]) == (200, "accepted"), answer
            ids.append(answer.body["event_id"])
        return ids

    async def events(self, **query: str) -> list[dict[str, Any]]:
        """All that ``GET /v1/events`` returns, to its end."""
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            answer = await self.request("GET", "/v1/events", params={"after": str(after), **query})
            assert answer.status == 200, answer
            found += answer.body["events"]
            if answer.body["next"] == after:
                return found
            after = answer.body["next"]

    async def dead_letters(self) -> list[dict[str, Any]]:
        """What ``GET /v1/dead-letters`` lists."""
        answer = await self.request("GET", "/v1/dead-letters")
        assert answer.status == 200, answer
        letters: list[dict[str, Any]] = answer.body["dead_letters"]
        return letters

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        return sum_of(await self._exposition(), name, **labels)

    async def _exposition(self) -> str:
        text: str = (await self.request("GET", "/metrics", admin=True)).body
        return text

    async def states(self, sink: str) -> States:
        """The loss balance of one sink; that it holds is part of every test that asks."""
        text = await self._exposition()
        fields = States.__dataclass_fields__
        states = States(*(int(sum_of(text, "relay_sink_events", sink=sink, state=each)) for each in fields))
        accepted = int(sum_of(text, "relay_sink_events_accepted", sink=sink))
        assert accepted == states.total, f"{sink}: {accepted} events accepted, and accounted for are {states}"
        return states

    async def until_published(self, *sinks: str) -> None:
        """Returns when these sinks (none: all) are up and have everything."""
        labels = sinks or tuple(publisher.get("name", publisher["type"]) for publisher in self.sinks)
        async with asyncio.timeout(WITHIN):
            for label in labels:
                while not await self._has_all(label):
                    await asyncio.sleep(0.05)

    async def _has_all(self, sink: str) -> bool:
        text = await self._exposition()
        up, lag = (sum_of(text, name, sink=sink) for name in ("relay_sink_up", "relay_publish_lag_events"))
        return up == 1 and lag == 0

    async def until_up(self, sink: str) -> None:
        """Returns when a sink is open."""
        async with asyncio.timeout(WITHIN):
            while await self.metric("relay_sink_up", sink=sink) != 1:
                await asyncio.sleep(0.05)

    async def until_pruned(self) -> None:
        """Returns when the journal's file holds no event any more (the newest stay in memory all the same)."""
        async with asyncio.timeout(WITHIN):
            while await self.metric("relay_journal_events"):
                await asyncio.sleep(0.05)
