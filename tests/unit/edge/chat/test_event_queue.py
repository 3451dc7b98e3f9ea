"""Events on their way into a journal that does not always take them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from relay.apis import apis
from relay.core.chat.events import Opening, chunk_draft, chunk_key, started_draft
from relay.core.chat.recovery import closed_by_restart
from relay.core.event import Draft, Receipt
from relay.edge.chat import event_queue as module
from relay.edge.chat.event_queue import FULL, PRESSED, ChatEventQueue, ChatEvents
from relay.journal.errors import JournalUnavailable

FULL_DISK = JournalUnavailable("journal_full", "full", hint="")


class Disk:
    """A journal whose commits are made, or fail, when the test says so. Order and groups are those of the writer."""

    def __init__(self) -> None:
        self.refusing = False
        self.room = 1 << 30
        """Bytes of the largest event that it takes."""
        self.queued: list[tuple[Draft, asyncio.Future[Receipt]]] = []
        self.written: list[str] = []

    def append(self, draft: Draft) -> asyncio.Future[Receipt]:
        if self.refusing or len(draft.event.data) > self.room:
            raise FULL_DISK
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.queued.append((draft, receipt))
        return receipt

    @property
    def flying(self) -> list[str]:
        return [draft.event.id for draft, _ in self.queued]

    async def commit(self, count: int | None = None, *, fail: bool = False) -> None:
        """Ends a group: the first ``count`` of what is queued, or all of it."""
        group, self.queued = self.queued[:count], self.queued[len(self.queued[:count]) :]
        for draft, receipt in group:
            if fail:
                receipt.set_exception(FULL_DISK)
            else:
                self.written.append(draft.event.id)
                receipt.set_result(Receipt("accepted", draft.event.id, len(self.written)))
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.01)


def started(chat_id: str) -> Draft:
    return started_draft(Opening(chat_id, 1, 0.0))


def chunk(chat_id: str, first: int, size: int = 2) -> Draft:
    data = b"{" + b" " * (size - 2) + b"}"
    return chunk_draft(chat_id, chunk_key(chat_id), first, [data], time="2026-01-01T00:00:00.000Z")


def ended(chat_id: str) -> Draft:
    return closed_by_restart(started(chat_id).event, [], 2, apis()).terminal


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_the_beginning_is_on_disk_before_anything_else_goes_and_the_ending_goes_last() -> None:
    """A failed commit between them would leave an ending before its beginning, and the stream open for good."""
    disk = Disk()
    queue = ChatEventQueue(disk)
    ChatEvents(queue).put([started("a"), chunk("a", 0), chunk("a", 1), ended("a")])
    assert disk.flying == ["a:started"]
    await disk.commit()
    assert disk.flying == ["a:chunk:0", "a:chunk:1"]
    await disk.commit(1)
    assert disk.flying == ["a:chunk:1"]
    await disk.commit()
    assert disk.flying == ["a:failed"]
    await disk.commit()
    assert await queue.flushed(0.0) == 0
    assert queue.waiting == 0


async def test_streams_do_not_wait_for_each_other() -> None:
    """One group commit would hold one event."""
    disk = Disk()
    queue = ChatEventQueue(disk)
    for name in "abc":
        ChatEvents(queue).put([started(name)])
    assert disk.flying == ["a:started", "b:started", "c:started"]
    await disk.commit()


async def test_nothing_overtakes_what_the_journal_refused() -> None:
    """Broken: P3: a small chunk that has room is written before the large one, which had none."""
    disk = Disk()
    queue = ChatEventQueue(disk)
    events = ChatEvents(queue)
    disk.room = 100
    events.put([chunk("a", 0), chunk("a", 1, size=200), chunk("a", 2)])
    assert disk.flying == ["a:chunk:0"]
    disk.room = 1000
    async with asyncio.timeout(5):
        while await queue.flushed(0.001):
            await disk.commit()
    assert disk.written == ["a:chunk:0", "a:chunk:1", "a:chunk:2"]


@pytest.mark.parametrize("how", ["refused", "failed"])
async def test_what_the_journal_does_not_take_is_kept_in_order(how: str) -> None:
    """A full disk would cost endings, or put them out of order."""
    disk = Disk()
    queue = ChatEventQueue(disk)
    events = ChatEvents(queue)
    disk.refusing = how == "refused"
    events.put([started("a"), ended("a")])
    await disk.commit(fail=True)
    assert queue.waiting > 0
    assert await queue.flushed(0.02) == 1
    assert disk.written == []
    disk.refusing = False
    async with asyncio.timeout(5):
        while await queue.flushed(0.001):
            await disk.commit()
    assert disk.written == ["a:started", "a:failed"]
    assert queue.waiting == 0


async def test_of_several_chunks_only_those_that_failed_go_again() -> None:
    """Events would be doubled in the journal's queue, or lost from it, by a disk that is full for a moment."""
    disk = Disk()
    queue = ChatEventQueue(disk)
    events = ChatEvents(queue)
    events.put([chunk("a", n) for n in range(3)])
    await disk.commit(1)
    await disk.commit(1, fail=True)
    await disk.commit(1)
    await until(lambda: disk.flying == ["a:chunk:1"])
    await disk.commit()
    assert await queue.flushed(0.0) == 0


async def test_it_says_when_too_much_waits() -> None:
    """Memory would grow with whatever the streams say, for as long as the disk is full."""
    disk = Disk()
    queue = ChatEventQueue(disk)
    events = ChatEvents(queue)
    assert not queue.pressed
    events.put([chunk("a", 0, PRESSED)])
    assert queue.pressed
    assert not queue.full
    events.put([chunk("a", 1, FULL)])
    assert queue.full
    while disk.queued:
        await disk.commit()
    assert not queue.pressed
    assert not queue.full
