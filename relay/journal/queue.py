"""The drafts that wait for their commit: bounded in bytes, number and time.

A disk may hang: a dead mount, a storage network that fails over, a frozen snapshot. Then nothing comes back from it,
neither success nor error. Senders must not hang with it, and what waits must not eat the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from relay.core.event import Draft, Receipt
from relay.journal.errors import JournalUnavailable

MAX_WAITING_BYTES: Final = 32 << 20
"""Bytes of drafts that wait for their commit. A single one that is larger waits alone."""

MAX_WAITING_DRAFTS: Final = 16_384
"""Drafts that wait: with their answers that are to come, about 2 KB each beside their data."""

STALLED_AFTER: Final = 2.0
"""Seconds of one commit after which nobody is kept waiting for it: the upstream gives a delivery up after 5.

Not earlier: a sender has only a handful of tries, and each 503 costs it one.
"""

Waiting = tuple[Draft, asyncio.Future[Receipt]]


class Queue:
    """What waits, in order. A draft whose waiter heard an error is not in it any more."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, draft: Draft, receipt: asyncio.Future[Receipt]) -> None:
        """Raises ``JournalUnavailable`` (``journal_busy``) where the draft has no room."""
        size = size_of(draft)
        if self._waiting and (len(self._waiting) >= MAX_WAITING_DRAFTS or self._bytes + size > MAX_WAITING_BYTES):
            raise JournalUnavailable(
                "journal_busy",
                f"{len(self._waiting)} events ({self._bytes} bytes) already wait for the disk.",
                hint="The disk under journal.path is too slow for the load: see relay_journal_commit_seconds.",
            )
        self._waiting.append((draft, receipt))
        self._bytes += size

    def take(self, events: int, size: int) -> list[Waiting]:
        """The next group: so many drafts and bytes at most, but at least one draft if there is one."""
        count = taken = 0
        for draft, _ in self._waiting[:events]:
            more = size_of(draft)
            if count and taken + more > size:
                break
            count, taken = count + 1, taken + more
        group = self._waiting[:count]
        del self._waiting[:count]
        self._bytes -= taken
        return group

    def take_all(self) -> list[Waiting]:
        group, self._waiting, self._bytes = self._waiting, [], 0
        return group


def size_of(draft: Draft) -> int:
    """Bytes of a draft's contents, those of the delivery behind a dead letter included."""
    return len(draft.event.data) + (len(draft.dead.raw) if draft.dead is not None else 0)


def fail(waiting: Iterable[Waiting], error: BaseException) -> None:
    """All of these hear of the error, those that still listen."""
    for _, receipt in waiting:
        if not receipt.done():
            receipt.set_exception(error)
            receipt.exception()  # a waiter that has gone must not make noise


def stalled(seconds: float) -> JournalUnavailable:
    """What is said while a commit does not come back."""
    return JournalUnavailable(
        "journal_stalled",
        f"The disk under the journal has not answered for {seconds:.0f} s.",
        hint="Check the volume under journal.path; relay accepts deliveries again as soon as it answers.",
    )
