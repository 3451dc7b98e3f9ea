from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from relay.core.event import Entry
from relay.journal.errors import JournalBroken
from relay.journal.journal import Journal, Policy, open_journal
from relay.journal.projections.history import History, Passage
from relay.journal.reader import READERS, Reader
from relay.journal.rows import Progress, Shown
from relay.journal.store import Store
from relay.journal.volume import log_of
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.drafts import draft

BOUND = 20


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = await open_journal(path, ["kafka"], Policy(), JournalSignals(Telemetry()))
    yield opened
    await opened.close()


def held_open(release: threading.Event, begun: threading.Semaphore) -> Callable[[Reader], list[Entry]]:
    """A question that has its view of the file, and does not end before it may."""

    def question(reader: Reader) -> list[Entry]:
        reader._db.execute("BEGIN")
        before = reader.read(0, 1000, 1 << 20)
        begun.release()
        assert release.wait(BOUND)
        assert reader.read(0, 1000, 1 << 20) == before
        reader._db.execute("COMMIT")
        return before

    return question


async def test_an_append_waits_for_no_reader(journal: Journal) -> None:
    """Broken: every consumer who pages would make the webhooks wait, beyond the upstream's time-out."""
    await journal.append(draft("before"))
    release, begun = threading.Event(), threading.Semaphore(0)
    try:
        reads = [asyncio.create_task(journal._readers.call(held_open(release, begun))) for _ in range(READERS)]
        for _ in range(READERS):
            assert await asyncio.to_thread(begun.acquire, timeout=BOUND)
        async with asyncio.timeout(BOUND):
            for n in range(50):
                await journal.append(draft(str(n)))
            await journal.progress.recount("kafka", Shown(20))
            await journal._writer.call(journal._store.merge_dedup)
            await journal._writer.call(journal._store.checkpoint_wal)
    finally:
        release.set()
    assert [len(read) for read in await asyncio.gather(*reads)] == [1] * READERS


async def test_a_read_sees_all_that_was_acknowledged_before(journal: Journal) -> None:
    """Broken: a consumer would miss what it has just been notified of, or a publisher believe that it is done."""
    for n in range(100):
        offset = (await journal.append(draft(str(n)))).offset
        found = await journal._readers.call(Reader.read, offset - 1, 10, 1 << 20)
        assert [entry.offset for entry in found] == [offset]


async def test_a_reader_that_finds_the_file_broken_ends_the_journal(journal: Journal) -> None:
    """Broken: a relay would go on acknowledging into a file that it cannot read any more."""

    def fails(reader: Reader) -> None:
        raise JournalBroken("journal_broken", "no more", hint="")

    with pytest.raises(JournalBroken):
        await journal._readers.call(fails)
    assert journal.broken.done()


def test_a_reader_cannot_write(store: Store) -> None:
    """Broken: a second connection that commits or checkpoints is what the WAL-reset bug of SQLite needs."""
    store.append([draft("a")], 1)
    reader = store.second()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM events")
    with pytest.raises(sqlite3.OperationalError):
        reader._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    reader.let_go()


def test_what_is_noted_is_seen_once_while_it_moves_to_the_tables(store: Store) -> None:
    """Broken: a question during the commit that takes notes along would count a repetition twice, or miss a passage."""
    rounds = 300
    store.append([draft("a")._replace(via="webhook")], 1)
    reader = store.second()
    seen: list[tuple[int, bool]] = []

    def ask(done: threading.Event) -> None:
        while not done.is_set():
            repetitions = reader.query(History, History.repetitions, [1])
            seen.append(
                (sum(each.times for each in repetitions), bool(reader.query(History, History.passages, "kafka", [1])))
            )

    done = threading.Event()
    store.projection(History).passed(Passage("kafka", 1, 5))
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(ask, done)
        for n in range(rounds):
            store.append([draft("a")._replace(via="webhook")], 1)  # reported again
            store.append([], n * 10_000, {"kafka": Progress(1, 0, 0)})  # a commit that takes it along
        done.set()
        asking.result()
    counts = [count for count, _ in seen]
    assert counts == sorted(counts)
    assert all(passed for _, passed in seen)
    assert sum(each.times for each in reader.query(History, History.repetitions, [1])) == rounds
    reader.let_go()


def test_the_writer_closes_last(path: Path) -> None:
    """Broken: a log would stay beside every journal that was closed."""
    store = Store(path)
    store.append([draft("a")], 1)
    with closing(store.second()._db) as db:
        db.execute("SELECT * FROM events").fetchall()
    store.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_the_log_stays_short_although_there_is_always_a_reader(journal: Journal, path: Path) -> None:
    """Broken: the log starts over only when nobody reads from it; with a few busy consumers it would grow forever."""
    begun, news = 0, threading.Condition()

    def overlaps(reader: Reader) -> None:
        nonlocal begun
        reader._db.execute("BEGIN")
        reader.read(0, 1, 1)
        with news:
            begun = mine = begun + 1
            news.notify_all()
            news.wait_for(lambda: begun > mine, timeout=0.2)
        reader._db.execute("COMMIT")

    async def read_on() -> None:
        while True:
            await journal._readers.call(overlaps)

    reading = [asyncio.ensure_future(read_on()) for _ in range(2 * READERS)]
    large = b'"' + b"x" * (1 << 20) + b'"'
    longest = 0
    for n in range(90):
        await journal.append(draft(str(n), data=large))
        longest = max(longest, log_of(path).stat().st_size)
    for each in reading:
        each.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    assert longest <= 64 << 20


async def test_readers_that_are_closed_can_be_closed_again(path: Path) -> None:
    """Broken: a stop that comes twice, as after a failed start, would wait forever for a reader that is gone."""
    journal = await open_journal(path, ["kafka"], Policy(), JournalSignals(Telemetry()))
    async with asyncio.timeout(BOUND):
        await journal._readers.close()
        await journal._readers.close()
        await journal.close()
