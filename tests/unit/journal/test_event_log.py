from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from relay.journal import event_log as module
from relay.journal.store import Store
from tests.unit.drafts import draft
from tests.unit.journal.journals import fill, opened


async def test_reading_is_the_same_from_memory_and_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a sink that falls behind the part kept in memory would skip or repeat events."""
    monkeypatch.setattr(module, "TAIL_EVENTS", 20)
    journal = await opened(tmp_path / "j.db")
    for start in range(0, 100, 10):
        await fill(journal, 10, start)
    for after in range(101):
        page = await journal.events.read(after, 7)
        assert [entry.offset for entry in page] == list(range(after + 1, min(after + 8, 101)))
    await journal.close()


async def test_the_time_of_an_event_is_the_same_from_memory_and_from_disk(tmp_path: Path) -> None:
    """Broken: relay_publish_lag_seconds shows the age of a younger event where a sink lags behind what is in memory."""
    store = Store(tmp_path / "j.db")
    for stamp in range(1001, 1011):
        store.append([draft(str(stamp))], stamp)
    store.close()
    journal = await opened(tmp_path / "j.db")
    await fill(journal, 3)  # in memory; those before it are not
    expected = [entry.accepted_at for entry in await journal.events.read(0, 20)]
    assert (expected[:10], len(expected)) == (list(range(1001, 1011)), 13)
    assert [await journal.events.first_accepted_at(after) for after in range(14)] == [*expected, None]
    await journal.close()


async def test_pages_are_bounded_in_bytes(tmp_path: Path) -> None:
    """Broken: a batch could exceed what a sink takes, and be refused forever."""
    journal = await opened(tmp_path / "j.db")
    await asyncio.gather(*(journal.append(draft(str(n), data=b'"' + b"x" * 98 + b'"')) for n in range(10)))
    assert len(await journal.events.read(0, 10, 350)) == 3
    assert len(await journal.events.read(0, 10, 1)) == 1
    await journal.close()


async def test_a_commit_is_not_read_before_it_has_been_counted(tmp_path: Path) -> None:
    """Broken: a sink is past an event that is not counted yet, and the balance is off for good."""
    journal = await opened(tmp_path / "j.db")
    await fill(journal, 3)
    journal.events._tail.clear()
    journal.events.last_offset = 2
    assert [entry.offset for entry in await journal.events.read(0, 10)] == [1, 2]
    journal.events.last_offset = 3
    assert [entry.offset for entry in await journal.events.read(0, 10)] == [1, 2, 3]
    await journal.close()


async def test_waiting_ends_with_the_next_event_only(tmp_path: Path) -> None:
    """Broken: a publisher would spin, or sleep through events."""
    journal = await opened(tmp_path / "j.db")
    waiting = asyncio.ensure_future(journal.events.wait(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    await journal.append(draft("a"))
    async with asyncio.timeout(5):
        await waiting
    duplicate = asyncio.ensure_future(journal.events.wait(1))
    await journal.append(draft("a"))
    assert not duplicate.done()
    duplicate.cancel()
    await journal.close()


async def test_reading_across_the_gap_of_a_fork_skips_nothing(tmp_path: Path) -> None:
    """Broken: after a fork a reader would count its way into the wrong place, and skip events."""
    journal = await opened(tmp_path / "j.db")
    await fill(journal, 3)
    await journal.progress.fork("none", 50)
    await fill(journal, 3, start=3)
    assert [entry.offset for entry in await journal.events.read(0, 10)] == [1, 2, 3, 51, 52, 53]
    for after, expected in ((2, 3), (3, 51), (40, 51), (50, 51), (51, 52), (52, 53)):
        assert (await journal.events.read(after, 1))[0].offset == expected
    await journal.close()
