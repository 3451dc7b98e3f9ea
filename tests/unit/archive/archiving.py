"""The archiver between a real journal, a scripted source and a store in memory, in virtual time."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from relay.archive.archiver import Archiver, Pace
from relay.archive.errors import FetchError, StoreError
from relay.archive.fetch import Download
from relay.archive.links import Links
from relay.archive.store import Stored, occupied
from relay.core.event import Draft, Entry
from relay.core.source import Delivery
from relay.core.tasks.reconcile import PollAnswer, Unanswered
from relay.journal.journal import Journal, Policy
from relay.journal.projections.outputs import OutputRow, Outputs
from relay.journal.store import Store as JournalStore
from relay.sources.novita_task import NovitaTask
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.outputs import OutputSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.virtual_time import VirtualLoop, until, virtually

KEY = "{task_id}/{index}.{ext}"
REFUSED = FetchError("link_refused", "out.example answers 403", fresh_link=True)
BUSY = FetchError("source_failed", "out.example answers 503", retriable=True)
DOWN = StoreError("store_unavailable", "s3://outputs cannot be used")


def now() -> int:
    """Epoch milliseconds of the virtual clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.wall_ms()


def link(name: str, signature: str = "1") -> str:
    return f"https://out.example/{name}.png?signature={signature}"


def result(task_id: str, *links: str, ttl: int = 3600, status: str = "TASK_STATUS_SUCCEED") -> bytes:
    """A task result with these outputs; by default one that is named like the task."""
    images = [{"image_url": each, "image_url_ttl": ttl, "image_type": "png"} for each in links or (link(task_id),)]
    return orjson.dumps({"task": {"task_id": task_id, "status": status}, "images": images})


@dataclass
class Source:
    """Gives each link its name as content, or fails as scripted: ``failing`` says with what, by the link and the how
    manieth try of it that is, counted from 1. ``takes`` seconds."""

    failing: Callable[[str, int], FetchError | None] = lambda link, nth: None
    takes: float = 0.1
    opened: list[tuple[float, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @asynccontextmanager
    async def open(self, url: str, kind: str) -> AsyncIterator[Download]:
        self.opened.append((asyncio.get_running_loop().time(), url))
        nth = self.links.count(url)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes)
            if (error := self.failing(url, nth)) is not None:
                raise error
            yield Download("image/png", None, self._chunks(url))
        finally:
            self.at_once -= 1

    @property
    def links(self) -> list[str]:
        return [url for _, url in self.opened]

    async def _chunks(self, url: str) -> AsyncIterator[bytes]:
        yield url.partition("?")[0].encode()


@dataclass
class Memory:
    """A store. ``error``: what it answers while it is set."""

    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    error: StoreError | None = None
    puts: int = 0
    checks: int = 0
    options: list[Mapping[str, str]] = field(default_factory=list)

    async def find(self, key: str, mark: str) -> Stored | None:
        if self.error is not None:
            raise self.error
        content, marked = self.objects.get(key, (b"", ""))
        return self._stored(key, content) if marked == mark else None

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str, mark: str) -> Stored:
        content = b"".join([chunk async for chunk in chunks])
        if self.error is not None:
            raise self.error
        self.puts += 1
        if self.objects.setdefault(key, (content, mark))[0] != content:
            raise occupied(f"memory://{key}")
        return self._stored(key, content)

    async def check(self) -> None:
        self.checks += 1
        if self.error is not None:
            raise self.error

    def reconfigure(self, options: Mapping[str, str]) -> None:
        self.options.append(options)

    def close(self) -> None: ...

    def _stored(self, key: str, content: bytes) -> Stored:
        return Stored(f"memory://{key}", len(content), hashlib.sha256(content).hexdigest())


@dataclass
class Upstream:
    """Answers polls with ``answer``."""

    answer: Callable[[str], PollAnswer | Unanswered] = lambda task_id: PollAnswer(200, result(task_id))
    polls: Counter[str] = field(default_factory=Counter)

    async def __call__(self, task_id: str) -> PollAnswer | Unanswered:
        self.polls[task_id] += 1
        return self.answer(task_id)


@dataclass
class World:
    journal: Journal
    telemetry: Telemetry
    pace: Pace
    source: Source = field(default_factory=Source)
    store: Memory = field(default_factory=Memory)
    upstream: Upstream = field(default_factory=Upstream)
    archiver: Archiver | None = None
    run: asyncio.Task[None] | None = None

    @staticmethod
    def wall() -> int:
        """The virtual clock."""
        return now()

    @property
    def outputs(self) -> Outputs:
        return self.journal.projection(Outputs).table

    def start(self) -> None:
        self.archiver = Archiver(
            self.journal,
            self.source,
            self.store,
            Links(self.upstream, NovitaTask()),
            OutputSignals(self.telemetry),
            key=KEY,
            pace=self.pace,
            now=now,
            wall=now,
        )
        self.run = asyncio.create_task(self.archiver.run())

    async def stop(self) -> None:
        assert self.archiver is not None
        assert self.run is not None
        self.archiver.stop()
        await self.run

    async def kill(self) -> None:
        """What was under way stops where it is."""
        assert self.run is not None
        self.run.cancel()
        await asyncio.wait([self.run])

    async def succeed(self, task_id: str, *links: str, ttl: int = 3600) -> None:
        draft = NovitaTask().normalize(Delivery(result(task_id, *links, ttl=ttl), now()))
        assert isinstance(draft, Draft)
        await self.journal.append(draft)

    async def row(self, task_id: str, index: int = 0) -> OutputRow:
        row = await self.journal.projection(Outputs).query(Outputs.find, task_id, index)
        assert row is not None
        return row

    async def ends(self) -> list[Entry]:
        entries = await self.journal.events.read(0, 100_000, 1 << 30)
        return [entry for entry in entries if entry.event.topic == "outputs"]

    async def types(self) -> list[tuple[str, str]]:
        """How each output ended, by its event's id."""
        return [
            (entry.event.id.removesuffix(f":{(kind := entry.event.type.rpartition('.')[2])}"), kind)
            for entry in await self.ends()
        ]

    async def data(self) -> list[dict[str, Any]]:
        return [orjson.loads(entry.event.data) for entry in await self.ends()]

    async def until_ended(self, count: int = 1, within: float = 60.0) -> None:
        async def ended() -> bool:
            return len(await self.ends()) >= count

        await until(ended, within)

    def metric(self, name: str, **labels: str) -> float:
        return self.telemetry.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def world(path: Path, pace: Pace | None = None) -> AsyncIterator[World]:
    telemetry = Telemetry()
    journal = Journal(JournalStore(path / "relay.db"), (), Policy(), JournalSignals(telemetry))
    made = World(journal, telemetry, pace or Pace())
    made.outputs.archiving = True
    made.start()
    try:
        yield made
    finally:
        await made.stop()
        await journal.close()


def play(path: Path, story: Callable[[World], Awaitable[None]], pace: Pace | None = None) -> None:
    """Runs a story in virtual time."""

    async def main() -> None:
        async with world(path, pace) as w:
            await story(w)

    virtually(main())
