"""Chat events on their way into the journal: no stream waits for it, and no mandatory event is lost.

A stream's events keep their order: the first is on disk before the next ones are handed over, and the last only goes
when all others are there. What the journal does not take (full disk, full backlog) is kept here and tried again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from relay.core.event import CHAT_CHUNKS, Draft, Receipt
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal

PRESSED = 8 << 20
"""Bytes of events waiting, from which on streams leave their chunk events out."""

FULL = 64 << 20
"""Bytes of events waiting, from which on no new streams are taken: their endings could not be promised."""

_RETRY = 0.5


class ChatEventQueue:
    """What waits for the journal, of all streams."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.waiting = 0
        """Bytes of events that the journal has not taken yet."""
        self._busy: set[ChatEvents] = set()
        self._idle: asyncio.Future[None] | None = None

    @property
    def pressed(self) -> bool:
        """Whether the journal is so slow that chunk events should be left out."""
        return self.waiting > PRESSED

    @property
    def full(self) -> bool:
        """Whether so much waits that nothing new should begin."""
        return self.waiting > FULL

    @property
    def idle(self) -> bool:
        """Whether the journal has everything."""
        return not self._busy

    def busy(self, events: ChatEvents, yes: bool) -> None:
        """A stream has events on the way, or none any more."""
        (self._busy.add if yes else self._busy.discard)(events)
        if not self._busy and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def flushed(self, timeout: float) -> int:
        """Returns when the journal has everything, or after ``timeout`` seconds; the number of streams left over."""
        if self._busy:
            self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._idle,), timeout=timeout)
        return len(self._busy)


class ChatEvents:
    """One stream's events, in their order: its way into the journal."""

    __slots__ = ("_failed", "_flying", "_queue", "_waiting")

    def __init__(self, queue: ChatEventQueue) -> None:
        self._queue = queue
        self._waiting: deque[Draft] = deque()
        self._flying = 0
        self._failed: list[Draft] = []

    def put(self, drafts: Iterable[Draft]) -> None:
        queue, waiting = self._queue, self._waiting
        for draft in drafts:
            waiting.append(draft)
            queue.waiting += len(draft.event.data)
        if waiting and not self._flying:
            queue.busy(self, True)
            self._go()

    def _go(self) -> None:
        """Hands over the next event, and with a chunk event those that follow it: their order matters to no ending."""
        waiting = self._waiting
        batch = [waiting.popleft()]
        while waiting and batch[-1].event.topic == waiting[0].event.topic == CHAT_CHUNKS:
            batch.append(waiting.popleft())
        self._flying = len(batch)
        refused = False
        for draft in batch:
            # What follows a refused one waits with it: there may be room for the smaller one already.
            refused = refused or not self._append(draft)
            if refused:
                self._answered(draft, failed=True)

    def _append(self, draft: Draft) -> bool:
        try:
            receipt = self._queue.journal.append(draft)
        except (JournalUnavailable, JournalBroken):
            return False
        receipt.add_done_callback(self._when_answered(draft))
        return True

    def _when_answered(self, draft: Draft) -> Callable[[asyncio.Future[Receipt]], None]:
        return lambda receipt: self._answered(draft, failed=receipt.cancelled() or receipt.exception() is not None)

    def _answered(self, draft: Draft, *, failed: bool) -> None:
        self._flying -= 1
        if failed:
            self._failed.append(draft)
        else:
            self._queue.waiting -= len(draft.event.data)
        if self._flying:
            return
        if self._failed:
            self._waiting.extendleft(reversed(self._failed))
            self._failed = []
            self._flying = 1  # the pause: nothing goes before it is over
            asyncio.get_running_loop().call_later(_RETRY, self._again)
        elif self._waiting:
            self._go()
        else:
            self._queue.busy(self, False)

    def _again(self) -> None:
        self._flying = 0
        self._go()
