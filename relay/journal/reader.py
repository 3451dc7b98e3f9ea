"""Reads beside the writer, on read-only connections, each in its own thread.

A commit waits for no reader, and none for a commit: SQLite gives each question the file as it was when it was asked.
What was acknowledged before is in it. Each question is one short statement or a few, and leaves no cursor open: as long
as one is open, the log cannot start over.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar, cast

from relay.journal.check import read_only
from relay.journal.dedup_index import DedupIndex
from relay.journal.errors import Guard, JournalBroken
from relay.journal.plan import Known
from relay.journal.projection import Projection
from relay.journal.queries import Queries
from relay.threads import Worker

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Projection)

READERS: Final = 2
"""Questions that are answered at once; others wait their turn. More would only share the same core."""

_CACHE_KIB: Final = 2048
"""Pages that a reader keeps: each commit makes it read them again, from the memory of the system."""


class Reader(Queries):
    """One connection to an open journal, with what is known of it in memory."""

    def __init__(
        self,
        path: Path,
        db: sqlite3.Connection,
        guard: Guard,
        index: DedupIndex,
        projections: Mapping[type[Projection], Projection],
    ) -> None:
        self.path, self._db, self._guard = path, db, guard
        self._index, self._projections = index, projections
        self._kept = {}

    def projection(self, kind: type[C]) -> C:
        """The projection of this class. Raises ``KeyError`` where the store was opened without it."""
        return cast(C, self._projections[kind])

    def query(self, kind: type[C], question: Callable[Concatenate[C, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Asks a projection; its errors come out as those of the journal."""
        with self._guard.translated():
            return question(self.projection(kind), *args, **kwargs)

    def known(self, keys: Sequence[bytes]) -> Known:
        """Which of these dedup keys are known, each with its fingerprint and its event's offset."""
        with self._guard.translated():
            return self._index.known(keys, self._db)

    def known_beginning(self, prefix: bytes, after: int, limit: int) -> list[int]:
        """See ``DedupIndex.beginning_with``."""
        with self._guard.translated():
            return self._index.beginning_with(prefix, after, limit, self._db)

    def second(self) -> Reader:
        """Another reader of the same journal, on a connection of its own."""
        with self._guard.translated():
            db = read_only(self.path)
            db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            db.execute("PRAGMA temp_store = MEMORY")
        projections = {kind: projection.on(db) for kind, projection in self._projections.items()}
        return Reader(self.path, db, self._guard, self._index, projections)

    def let_go(self) -> None:
        self._db.close()


class Readers:
    """The readers of an open journal, each in its thread. ``broken`` hears of the first error that ends the journal."""

    def __init__(self, first: Reader, *, broken: Callable[[JournalBroken], None], count: int = READERS) -> None:
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._count = count
        self._idle: asyncio.Queue[tuple[Reader, Worker]] = asyncio.Queue()
        for number in range(count):
            self._idle.put_nowait((first.second(), Worker(f"journal-reader-{number}")))

    async def call(self, question: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Asks the next one that is idle. Raises ``RuntimeError`` after ``close``."""
        if not self._count:
            raise RuntimeError("the readers are closed")
        reader, thread = await self._idle.get()
        job = thread.submit(question, reader, *args, **kwargs)
        # Not when the asker has its answer: one that is cancelled leaves its question to be answered.
        job.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._idle.put_nowait, (reader, thread)))
        try:
            return await asyncio.wrap_future(job)
        except JournalBroken as error:
            self._broken(error)
            raise

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nobody reads inside: the questions under way are answered first, later ones wait until it is left."""
        idle: list[tuple[Reader, Worker]] = []
        try:
            while len(idle) < self._count:
                idle.append(await self._idle.get())
            yield
        finally:
            for each in idle:
                self._idle.put_nowait(each)

    async def close(self) -> None:
        """Waits for the questions under way, and closes the connections: the writer's is to be the last one."""
        count, self._count = self._count, 0
        for _ in range(count):
            reader, thread = await self._idle.get()
            await asyncio.wrap_future(thread.submit(reader.let_go))
            thread.end()
