"""Group commit: one thread owns the store; while it syncs one group, the next one gathers.

Nothing lingers: a lone draft is committed at once, and under load the group is whatever arrived during the
previous sync. Handing over whole groups keeps the two threads from passing the interpreter lock to and fro.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from relay.core.event import Draft, Entry, Receipt
from relay.journal.errors import JournalBroken
from relay.journal.rows import Appended, Progress
from relay.journal.store import Store

P = ParamSpec("P")
T = TypeVar("T")

MAX_GROUP_EVENTS = 512
MAX_GROUP_BYTES = 8 << 20


class Committed(Protocol):
    """Called in the event loop after each group: its new entries, its drafts, the seconds the commit took."""

    def __call__(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None: ...


class Writer:
    """The one way to the store. ``append`` for drafts, ``call`` for everything else, in the order they come."""

    def __init__(self, store: Store, *, committed: Committed, broken: Callable[[JournalBroken], None]) -> None:
        self._store = store
        self._committed = committed
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._pending: list[tuple[Draft, asyncio.Future[Receipt]]] = []
        self._progress: dict[str, Progress] = {}
        self._scheduled = False
        self._in_flight: list[tuple[Draft, asyncio.Future[Receipt]]] = []
        self._busy_since: float | None = None

    def append(self, draft: Draft) -> asyncio.Future[Receipt]:
        """Queues a draft; the future answers once it is on disk.

        Queued at once, not when awaited: a caller that is cancelled meanwhile (its client hung up) loses only
        the answer, never leaves half a write behind.
        """
        receipt: asyncio.Future[Receipt] = self._loop.create_future()
        self._pending.append((draft, receipt))
        self._schedule()
        return receipt

    def save(self, sink: str, progress: Progress) -> None:
        """Saves a sink's progress with the next group. It may be lost: the sink holds the truth."""
        earlier = self._progress.get(sink)
        self._progress[sink] = progress if earlier is None else earlier.then(progress)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a method of the store in its thread."""
        job = self._thread.submit(function, *args, **kwargs)
        try:
            return await asyncio.wrap_future(job)
        except JournalBroken as error:
            self._broken(error)
            raise

    def stalled_for(self) -> float:
        """Seconds that the commit under way has taken so far; 0 when there is none."""
        return 0.0 if self._busy_since is None else time.monotonic() - self._busy_since

    async def close(self) -> None:
        """Commits what is queued, closes the store and ends the thread."""
        while waiting := [future for _, future in (*self._in_flight, *self._pending)]:
            await asyncio.wait(waiting)
            await asyncio.sleep(0)  # lets _settle take the next group
        progress, self._progress = self._progress, {}
        try:
            if progress:
                await self.call(self._store.append, [], 0, progress)
        finally:
            await self.call(self._store.close)
            self._thread.shutdown(wait=True)

    def _schedule(self) -> None:
        # Not at once: what else arrives in this turn of the loop joins the group.
        if not self._scheduled and self._busy_since is None:
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        if self._busy_since is not None or not self._pending:
            return
        self._in_flight = group = self._take()
        progress, self._progress = self._progress, {}
        self._busy_since = time.monotonic()
        job = self._thread.submit(self._append, [draft for draft, _ in group], progress)
        job.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._settle, group, progress, done))

    def _take(self) -> list[tuple[Draft, asyncio.Future[Receipt]]]:
        size = count = 0
        for draft, _ in self._pending[:MAX_GROUP_EVENTS]:
            size += len(draft.event.data)
            if count and size > MAX_GROUP_BYTES:
                break
            count += 1
        group = self._pending[:count]
        del self._pending[:count]
        return group

    def _append(self, drafts: list[Draft], progress: dict[str, Progress]) -> tuple[Appended, float]:
        started = time.perf_counter()
        appended = self._store.append(drafts, time.time_ns() // 1_000_000, progress)
        return appended, time.perf_counter() - started

    def _settle(
        self,
        group: list[tuple[Draft, asyncio.Future[Receipt]]],
        progress: dict[str, Progress],
        job: ThreadFuture[tuple[Appended, float]],
    ) -> None:
        self._busy_since = None
        self._in_flight = []
        error = job.exception()
        if error is not None:
            self._keep(progress)
            self._fail(group, error)
        else:
            appended, seconds = job.result()
            for (_, future), receipt in zip(group, appended.receipts, strict=True):
                if not future.done():
                    future.set_result(receipt)
            self._committed(appended.entries, len(group), seconds)
            if self._store.wal_is_long():
                self._thread.submit(self._store.checkpoint_wal).add_done_callback(self._checked)
        if self._pending:
            self._commit()

    def _keep(self, progress: dict[str, Progress]) -> None:
        """Progress that was not written goes with the next group, or the sinks' counts would lack it for good."""
        for sink, earlier in progress.items():
            later = self._progress.get(sink)
            self._progress[sink] = earlier if later is None else earlier.then(later)

    def _fail(self, group: list[tuple[Draft, asyncio.Future[Receipt]]], error: BaseException) -> None:
        """First error: nothing of the group was written, all of its waiters hear so."""
        for _, future in group:
            if not future.done():
                future.set_exception(error)
                future.exception()  # a waiter that has gone must not make noise
        if isinstance(error, JournalBroken):
            self._broken(error)

    def _checked(self, job: ThreadFuture[None]) -> None:
        error = job.exception()
        if isinstance(error, JournalBroken):
            self._loop.call_soon_threadsafe(self._broken, error)
