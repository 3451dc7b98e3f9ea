"""Group commit: one thread owns the store; while it syncs one group, the next one collects.

Nothing lingers: a lone draft is committed at once, and under load the group is whatever arrived during the
previous sync. Handing over whole groups keeps the two threads from passing the interpreter lock to and fro.

Nobody waits for long: when a commit does not come back (``queue.STALLED_AFTER``), all who wait hear so and nothing more
is taken until it does. The group that is under way may still be written; what comes again is then a duplicate. And
nothing overtakes: when a group fails, what waits behind it fails with it, or a later event of a stream could be written
while the one before it has to come again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future as ThreadFuture
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from relay.core.errors import RelayError
from relay.core.event import Draft, Entry, Receipt
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.queue import STALLED_AFTER, Queue, Waiting, fail, stalled
from relay.journal.rows import Appended, Progress
from relay.journal.store import Store
from relay.threads import Worker

P = ParamSpec("P")
T = TypeVar("T")

MAX_GROUP_EVENTS = 512


class Writer:
    """The one way to the store. ``append`` for drafts, ``call`` for everything else, in the order they come.

    Called in the event loop: ``committed`` after each group, with its new entries, the number of its drafts and the
    seconds that the commit took; ``failed`` with what a commit or a call met; ``overdue`` when the log has become long,
    although it is moved into the file in steps.
    """

    def __init__(
        self,
        store: Store,
        *,
        committed: Callable[[Sequence[Entry], int, float], None],
        failed: Callable[[RelayError], None],
        overdue: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._committed = committed
        self._failed = failed
        self._overdue = overdue
        self._loop = asyncio.get_running_loop()
        self._thread = Worker("journal")
        self._queue = Queue()
        self._progress: dict[str, Progress] = {}
        self._scheduled = False
        self._in_flight: list[Waiting] = []
        self._busy_since: float | None = None
        self._watching = False
        self._idle = asyncio.Event()
        self._idle.set()

    def append(self, draft: Draft) -> asyncio.Future[Receipt]:
        """Queues a draft; the future answers once it is on disk.

        Queued at once, not when awaited: a caller that is cancelled meanwhile (its client hung up) loses only
        the answer, never leaves half a write behind. Raises ``JournalUnavailable`` at once while a commit does not
        come back (``journal_stalled``), or too much waits already (``journal_busy``).
        """
        if (seconds := self.stalled_for()) >= STALLED_AFTER:
            raise stalled(seconds)
        receipt: asyncio.Future[Receipt] = self._loop.create_future()
        self._queue.put(draft, receipt)
        self._schedule()
        return receipt

    def refusal(self) -> JournalUnavailable | None:
        """Why nothing is taken now; ``None``: it is."""
        seconds = self.stalled_for()
        return stalled(seconds) if seconds >= STALLED_AFTER else None

    def save(self, sink: str, progress: Progress) -> None:
        """Saves a sink's progress with the next group. It may be lost: the sink holds the truth."""
        earlier = self._progress.get(sink)
        self._progress[sink] = progress if earlier is None else earlier.then(progress)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a method of the store in its thread. Raises ``JournalUnavailable`` at once while the disk hangs."""
        if (refusal := self.refusal()) is not None:
            raise refusal
        return await self._call(function, *args, **kwargs)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        job = self._thread.submit(function, *args, **kwargs)
        job.add_done_callback(self._look_at_log)
        try:
            return await asyncio.wrap_future(job)
        except (JournalBroken, JournalUnavailable) as error:
            self._failed(error)
            raise

    def stalled_for(self) -> float:
        """Seconds that the commit under way has taken so far, or whatever keeps it from beginning; 0: none is."""
        commit, job = self._busy_since, self._thread.busy_since  # once: the thread may be done at any moment
        since = commit if job is None or (commit is not None and commit < job) else job
        return 0.0 if since is None else time.monotonic() - since

    async def idle(self) -> None:
        """Returns when nothing is queued or being written."""
        await self._idle.wait()

    async def close(self) -> None:
        """Commits what is queued, closes the store and ends the thread."""
        await self.idle()
        progress, self._progress = self._progress, {}
        try:
            if progress:
                with suppress(JournalUnavailable):  # a full disk: the sinks hold the truth
                    await self._call(self._store.append, [], 0, progress)
        finally:
            await asyncio.wrap_future(self._thread.submit(self._store.close))
            self._thread.end()

    def _schedule(self) -> None:
        # Not at once: what else arrives in this turn of the loop joins the group.
        if not self._scheduled and self._busy_since is None:
            self._scheduled = True
            self._idle.clear()
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        self._in_flight = group = self._queue.take(MAX_GROUP_EVENTS, self._store.group_bytes)
        progress, self._progress = self._progress, {}
        self._busy_since = time.monotonic()
        self._watch(STALLED_AFTER)
        job = self._thread.submit(self._append, [draft for draft, _ in group], progress)
        job.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._settle, group, progress, done))
        job.add_done_callback(self._look_at_log)

    def _watch(self, seconds: float) -> None:
        """Looks in so many seconds whether the commit that is then under way takes too long."""
        if not self._watching:
            self._watching = True
            self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._watching = False
        if self._busy_since is None:
            return
        if (refusal := self.refusal()) is None:
            self._watch(STALLED_AFTER - self.stalled_for())
        else:
            fail((*self._in_flight, *self._queue.take_all()), refusal)

    def _append(self, drafts: list[Draft], progress: dict[str, Progress]) -> tuple[Appended, float]:
        started = time.perf_counter()
        appended = self._store.append(drafts, time.time_ns() // 1_000_000, progress)
        return appended, time.perf_counter() - started

    def _settle(
        self,
        group: list[Waiting],
        progress: dict[str, Progress],
        job: ThreadFuture[tuple[Appended, float]],
    ) -> None:
        self._busy_since = None
        self._in_flight = []
        error = job.exception()
        if error is not None:
            self._keep(progress)
            self._fail((*group, *self._queue.take_all()), error)
        else:
            appended, seconds = job.result()
            for (_, future), receipt in zip(group, appended.receipts, strict=True):
                if not future.done():  # its waiter has gone, or knows that the disk does not answer
                    future.set_result(receipt)
            self._committed(appended.entries, len(group), seconds)
        if self._queue:
            self._commit()
        else:
            self._idle.set()

    def _keep(self, progress: dict[str, Progress]) -> None:
        """Progress that was not written goes with the next group, or the sinks' counts would lack it for good."""
        for sink, earlier in progress.items():
            later = self._progress.get(sink)
            self._progress[sink] = earlier if later is None else earlier.then(later)

    def _fail(self, waiting: Sequence[Waiting], error: BaseException) -> None:
        """Nothing of the group was written; it and all behind it hear so."""
        fail(waiting, error)
        if isinstance(error, RelayError):
            self._failed(error)

    def _look_at_log(self, _: ThreadFuture[Any]) -> None:
        """In the journal's thread, after each job: who waited for it has the answer by now."""
        if self._store.wal_is_long():
            if self._store.wal_is_overdue():
                self._loop.call_soon_threadsafe(self._overdue)
            self._thread.submit(self._store.checkpoint_wal).add_done_callback(self._checked)

    def _checked(self, job: ThreadFuture[None]) -> None:
        error = job.exception()
        if isinstance(error, RelayError):
            self._loop.call_soon_threadsafe(self._failed, error)
