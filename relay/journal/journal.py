"""The journal as the rest of relay opens it: events are appended here, and each reader gets the part that it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, Final, Generic, ParamSpec, TypeVar

from relay.core.conceal import Concealed
from relay.core.errors import RelayError
from relay.core.event import Draft, Entry, Receipt
from relay.core.publishing.lineage import Names
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.event_log import EventLog
from relay.journal.maintenance import PRUNE_PAUSE, Condition, Maintenance
from relay.journal.maintenance import Policy as Policy
from relay.journal.names import open_under
from relay.journal.projection import Projection
from relay.journal.reader import Readers
from relay.journal.sink_progress import SinkProgress
from relay.journal.store import Store
from relay.journal.writer import Writer
from relay.telemetry.signals.journal import JournalSignals

FORGOTTEN_AT_ONCE: Final = 500
"""Rows of a projection that one change takes out."""

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Projection)


class Projected(Generic[C]):
    """One projection of an open journal: all of the journal that most callers need.

    ``kind`` is its class, whose methods are the questions and the changes.
    """

    def __init__(self, kind: type[C], store: Store, writer: Writer, readers: Readers) -> None:
        self.table = store.projection(kind)
        """For what it keeps in memory. Its tables belong to the journal's thread."""
        self._kind, self._store, self._writer, self._readers = kind, store, writer, readers

    async def query(self, question: Callable[Concatenate[C, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Asks on a connection that only reads, behind all that ask something else."""
        return await self._readers.call(lambda reader: reader.query(self._kind, question, *args, **kwargs))

    async def execute(self, change: Callable[Concatenate[C, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Changes it in the journal's thread, between two commits; it is fsynced when this returns."""
        return await self._writer.call(lambda: self._store.execute(change, self.table, *args, **kwargs))

    async def forget(self, expire: Callable[[C, T, int], int], before: T) -> None:
        """Takes out what is older, so many at a time, for as long as ``expire`` finds that many; commits go first.

        On a full disk the rest is left for the next time.
        """
        with suppress(JournalUnavailable):
            while await self.execute(expire, before, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE:  # noqa: ASYNC110
                await asyncio.sleep(PRUNE_PAUSE)


class Journal:
    """One open journal, in one event loop: see ``EventLog``, ``SinkProgress`` and ``Maintenance``."""

    def __init__(
        self,
        store: Store,
        sinks: Collection[str],
        policy: Policy,
        signals: JournalSignals,
        names: Names | None = None,
        returned: Collection[str] = (),
    ) -> None:
        self.concealed = Concealed()
        """Secrets that no event may hold, no matter who made it. May be exchanged for others."""
        self._store, self._policy, self._signals = store, policy, signals
        self.path = store.path
        self.condition = Condition(store.size(), signals)
        self.broken = self.condition.broken
        self._writer = Writer(store, committed=self._committed, failed=self.condition.failed, overdue=self._shorten_log)
        self._readers = Readers(store, broken=self.condition.failed)
        self._shortening: asyncio.Task[None] | None = None
        self.events = EventLog(store, self._readers)
        self.progress = SinkProgress(store, self._writer, self.events, sinks, names or Names(), returned)
        self.maintenance = Maintenance(store, self._writer, policy, self.condition, self.events, self.progress, signals)

    def projection(self, kind: type[C]) -> Projected[C]:
        """The projection of this class. Raises ``KeyError`` where the journal was opened without it."""
        return Projected(kind, self._store, self._writer, self._readers)

    def append(self, draft: Draft) -> asyncio.Future[Receipt]:
        """Queues a draft; the future answers after the fsync, and raises ``JournalUnavailable`` when that takes long.

        Raises ``JournalUnavailable`` at once when over the cap, or while the disk hangs or cannot keep up.

        What a sink refused (``draft.dead`` of an event) is always taken: it makes the backlog smaller.
        """
        if self.condition.broken.done():
            raise self.condition.broken.result()
        if self.condition.full is not None:
            raise self.condition.full
        if draft.dead is None or draft.dead.event_offset is None:
            self._refuse_when_full()
        return self._writer.append(self.concealed.in_draft(draft))

    def _refuse_when_full(self) -> None:
        if self.progress.backlog() >= self._policy.max_backlog:
            raise JournalUnavailable(
                "backlog_full",
                f"{self.progress.backlog()} events wait for a sink, the limit of journal.max_backlog.",
                hint="See which sink is down (relay_sink_up); relay accepts deliveries again as the backlog drains.",
            )
        if self.condition.size > self._policy.max_size and self.progress.backlog() and self.progress.is_stuck():
            raise JournalUnavailable(
                "journal_full",
                "The journal has reached journal.max_size and every event in it still waits for a sink.",
                hint="See which sink is down (relay_sink_up), or raise journal.max_size.",
            )

    def accepting(self) -> JournalUnavailable | JournalBroken | None:
        """Why nothing can be accepted now, ``None`` when it can."""
        if self.condition.broken.done():
            return self.condition.broken.result()
        try:
            self._refuse_when_full()
        except JournalUnavailable as error:
            return error
        return self.condition.full or self._writer.refusal()

    def _committed(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None:
        self._signals.group_committed(entries, drafts, seconds)
        if entries:
            self.events.added(entries)

    def stalled_for(self) -> float:
        """Seconds that the commit under way has taken so far."""
        return self._writer.stalled_for()

    def _shorten_log(self) -> None:
        """The log starts over only when nobody reads from it, and some journals are never left alone."""
        if self._shortening is None or self._shortening.done():
            self._shortening = asyncio.get_running_loop().create_task(self._shorten())

    async def _shorten(self) -> None:
        async with self._readers.paused():
            with suppress(RelayError):  # the writer has said so
                await self._writer.call(self._store.checkpoint_wal)

    async def written(self) -> None:
        """Returns when everything that was appended is on disk, or has failed; also what nobody waits for any more."""
        await self._writer.idle()

    async def close(self) -> None:
        """Commits what is queued and closes the file."""
        if self._shortening is not None:
            await self._shortening
        await self._readers.close()
        if self.condition.full is not None:
            with suppress(JournalUnavailable):
                await self._writer.call(self._store.make_room)
        await self._writer.close()


async def open_journal(
    path: Path,
    sinks: Collection[str],
    policy: Policy,
    signals: JournalSignals,
    *,
    names: Names | None = None,
    must_exist: bool = False,
) -> Journal:
    """Opens or creates the journal. Raises ``JournalInUse`` or ``JournalBroken`` with what to do.

    ``names`` are what it is published under from now on; ``must_exist``: it is not created.
    """
    store, returned = await asyncio.to_thread(open_under, names, path, must_exist=must_exist)
    return Journal(store, sinks, policy, signals, names, returned)
