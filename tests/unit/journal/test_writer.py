from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from relay.core.errors import RelayError
from relay.core.event import Entry
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.rows import Progress, SavedCheckpoint
from relay.journal.store import Store
from relay.journal.volume import log_of
from relay.journal.writer import Writer
from tests.unit.drafts import draft


class Log:
    """What the writer reported to its owner."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.broke: list[JournalBroken] = []

    def committed(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None:
        self.groups.append(drafts)

    def failed(self, error: RelayError) -> None:
        if isinstance(error, JournalBroken):
            self.broke.append(error)


def writer_for(path: Path) -> tuple[Writer, Log, Store]:
    log, store = Log(), Store(path)
    return Writer(store, committed=log.committed, failed=log.failed), log, store


async def test_what_arrives_together_is_one_group(tmp_path: Path) -> None:
    """Broken: each event would pay for an fsync of its own."""
    writer, log, _ = writer_for(tmp_path / "j.db")
    receipts = await asyncio.gather(*(writer.append(draft(str(n))) for n in range(20)))
    await writer.close()
    assert [receipt.offset for receipt in receipts] == list(range(1, 21))
    assert log.groups == [20]


async def test_a_draft_larger_than_any_group_is_taken(tmp_path: Path) -> None:
    """Broken: one large event would wait forever, and everything that comes after it."""
    writer, log, store = writer_for(tmp_path / "j.db")
    large = draft("large", data=b'"%b"' % (b"x" * (9 << 20)))
    assert len(large.event.data) > store.group_bytes
    async with asyncio.timeout(30):
        receipts = await asyncio.gather(writer.append(draft("a")), writer.append(large), writer.append(draft("b")))
    assert [receipt.offset for receipt in receipts] == [1, 2, 3]
    assert log.groups == [1, 1, 1]
    await writer.close()


async def test_a_cancelled_waiter_leaves_its_event_written(tmp_path: Path) -> None:
    """Broken: a client that hangs up in mid-commit would leave half a write, or take its group down with it."""
    writer, _, store = writer_for(tmp_path / "j.db")
    gone, stays = writer.append(draft("gone")), writer.append(draft("stays"))
    gone.cancel()
    assert (await stays).offset == 2
    assert [entry.event.subject for entry in await writer.call(store.read, 0, 10, 1 << 20)] == ["gone", "stays"]
    await writer.close()


async def test_a_full_disk_fails_the_group_and_the_next_one_is_tried(tmp_path: Path) -> None:
    """Broken: one full disk would end the process, or an event of the failed group would get a 2xx."""
    log, store = Log(), Store(tmp_path / "j.db", max_pages=35)
    writer = Writer(store, committed=log.committed, failed=log.failed)
    big = b'"' + b"x" * 200_000 + b'"'
    outcomes = await asyncio.gather(
        writer.append(draft("a", data=big)), writer.append(draft("b")), return_exceptions=True
    )
    assert [type(outcome).__name__ for outcome in outcomes] == ["JournalUnavailable"] * 2
    assert (await writer.append(draft("c"))).offset == 1
    assert log.broke == []
    await writer.close()


async def test_progress_of_a_failed_group_goes_with_the_next_one(tmp_path: Path) -> None:
    """Broken: after a full disk the counts of published events would be too low for good, and the balance off."""
    path = tmp_path / "j.db"
    log, store = Log(), Store(path, max_pages=35)
    writer = Writer(store, committed=log.committed, failed=log.failed)
    writer.save("kafka", Progress(5, 4, 1))
    failing = writer.append(draft("a", data=b'"' + b"x" * 200_000 + b'"'))
    await asyncio.sleep(0)  # the group, and with it the progress, is on its way
    await asyncio.sleep(0)
    writer.save("kafka", Progress(7, 2, 0))
    with pytest.raises(JournalUnavailable):
        await failing
    await writer.append(draft("b"))
    assert store.checkpoints()["kafka"] == SavedCheckpoint(7, 6, 1)
    await writer.close()


class FailsOnce:
    """A connection whose next commit fails as on a bad disk, once and slowly: others queue up meanwhile."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.fails, self.failing = True, threading.Event()
        self.go_on = threading.Event()

    def execute(self, statement: str, *parameters: object) -> sqlite3.Cursor:
        if statement == "COMMIT" and self.fails:
            self.fails = False
            self.failing.set()
            self.go_on.wait(10)
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._connection.execute(statement, *parameters)

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


async def test_a_broken_journal_fails_all_who_wait_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: after an I/O error the relay would go on answering 2xx, first of all to those who wait already."""
    writer, log, store = writer_for(tmp_path / "j.db")
    disk = FailsOnce(store._db)
    monkeypatch.setattr(store, "_db", disk)
    first = writer.append(draft("a"))
    await asyncio.to_thread(disk.failing.wait, 10)
    behind = writer.append(draft("b"))
    change = asyncio.ensure_future(writer.call(store.execute, lambda: None))
    await asyncio.sleep(0)  # it is in the queue now
    disk.go_on.set()
    outcomes = await asyncio.gather(first, behind, change, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [JournalBroken] * 3
    assert log.broke[0] is outcomes[0]
    assert log.groups == []
    await writer.close()


async def test_closing_commits_what_is_queued_and_saves_progress(tmp_path: Path) -> None:
    """Broken: a drain would drop deliveries that are queued, or forget how far the sinks got."""
    path = tmp_path / "j.db"
    writer, _, _ = writer_for(path)
    queued = [writer.append(draft(str(n))) for n in range(1200)]
    writer.save("kafka", Progress(7, 5, 1))
    writer.save("kafka", Progress(9, 2, 0))
    await writer.close()
    assert [receipt.result().offset for receipt in queued] == list(range(1, 1201))
    store = Store(path)
    saved = store.checkpoints()["kafka"]
    store.close()
    assert (saved.offset, saved.published, saved.dead) == (9, 7, 1)


async def test_a_commit_that_hangs_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a disk that hangs would never make the relay's liveness fail."""
    writer, _, store = writer_for(tmp_path / "j.db")
    release, entered, append = threading.Event(), asyncio.Event(), store.append
    loop = asyncio.get_running_loop()

    def slow(*arguments: object) -> object:
        loop.call_soon_threadsafe(entered.set)
        release.wait(10)
        return append(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "append", slow)
    waiting = writer.append(draft("a"))
    async with asyncio.timeout(5):
        await entered.wait()
    assert writer.stalled_for() > 0
    release.set()
    await waiting
    assert writer.stalled_for() == 0
    await writer.close()


class Hangs:
    """Stands for ``Store.append`` on a disk that hangs until ``answer`` is set."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer, self.entered = threading.Event(), asyncio.Event()
        self._append, self._loop = store.append, asyncio.get_running_loop()
        monkeypatch.setattr(store, "append", self)

    def __call__(self, *arguments: object) -> object:
        self._loop.call_soon_threadsafe(self.entered.set)
        self.answer.wait(10)
        return self._append(*arguments)  # type: ignore[arg-type]


async def test_nobody_waits_for_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: senders hang with the disk until they give up, and what they sent fills the memory."""
    monkeypatch.setattr("relay.journal.writer.STALLED_AFTER", 0.05)
    writer, log, store = writer_for(tmp_path / "j.db")
    disk = Hangs(store, monkeypatch)
    under_way = writer.append(draft("a"))
    async with asyncio.timeout(5):
        await disk.entered.wait()
        behind = writer.append(draft("b"))
        outcomes = await asyncio.gather(under_way, behind, return_exceptions=True)
    assert [getattr(outcome, "code", None) for outcome in outcomes] == ["journal_stalled"] * 2
    for refused in (lambda: writer.append(draft("c")), lambda: writer.call(store.newest_offset)):
        with pytest.raises(JournalUnavailable, match="has not answered"):
            await refused()
    disk.answer.set()
    async with asyncio.timeout(5):
        while writer.refusal() is not None:
            await asyncio.sleep(0.001)
    again = await asyncio.gather(*(writer.append(draft(name)) for name in "abc"))
    assert [(receipt.result, receipt.offset) for receipt in again] == [
        ("duplicate", 1),
        ("accepted", 2),
        ("accepted", 3),
    ]
    assert log.broke == []
    await writer.close()


async def test_what_waits_for_the_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a disk slower than what arrives would fill the memory with what waits for it."""
    writer, _, store = writer_for(tmp_path / "j.db")
    monkeypatch.setattr("relay.journal.queue.MAX_WAITING_BYTES", 100)
    monkeypatch.setattr("relay.journal.queue.MAX_WAITING_DRAFTS", 3)
    disk = Hangs(store, monkeypatch)
    taken = [writer.append(draft("a"))]
    async with asyncio.timeout(5):
        await disk.entered.wait()
    taken += [writer.append(draft("large", data=b'"' + b"x" * 200 + b'"'))]  # more than the bound: it waits alone
    with pytest.raises(JournalUnavailable, match="already wait for the disk") as refused:
        writer.append(draft("b"))
    assert refused.value.code == "journal_busy"
    disk.answer.set()
    await asyncio.gather(*taken)
    taken = [writer.append(draft(f"small {n}")) for n in range(3)]
    with pytest.raises(JournalUnavailable):
        writer.append(draft("one too many"))
    assert [(await receipt).result for receipt in taken] == ["accepted"] * 3
    await writer.close()


async def test_a_draft_is_not_written_before_one_that_has_to_come_again(tmp_path: Path) -> None:
    """Broken: P3: of two chunks of one stream the second is written while the first, whose group failed, is retried."""
    log, store = Log(), Store(tmp_path / "j.db", max_pages=35)
    writer = Writer(store, committed=log.committed, failed=log.failed)
    first = writer.append(draft("first", data=b'"' + b"x" * 200_000 + b'"'))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the first group is on its way, and fails
    second = writer.append(draft("second"))
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["JournalUnavailable"] * 2
    assert (await writer.append(draft("second"))).offset == 1
    await writer.close()


async def test_what_writes_without_an_event_is_moved_into_the_file_too(tmp_path: Path) -> None:
    """Broken: pruning a large journal would leave hundreds of megabytes in the log until the next delivery."""
    path = tmp_path / "j.db"
    writer, _, store = writer_for(path)
    large = "x" * (1 << 20)
    store._db.execute("CREATE TABLE large (it TEXT)")
    for _ in range(100):
        await writer.call(store.execute, lambda: store._db.execute("INSERT INTO large VALUES (?)", (large,)))
    assert log_of(path).stat().st_size < 16 << 20
    await writer.close()


async def test_a_log_that_cannot_be_moved_into_the_file_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: a disk that no longer takes what it was given goes unnoticed until somebody's delivery fails on it."""
    writer, log, store = writer_for(tmp_path / "j.db")
    broken = JournalBroken("journal_broken", "The disk does not take it.")

    def fails() -> None:
        raise broken

    monkeypatch.setattr(store, "wal_is_long", lambda: True)
    monkeypatch.setattr(store, "checkpoint_wal", fails)
    await writer.append(draft("a"))
    async with asyncio.timeout(5):
        while not log.broke:
            await asyncio.sleep(0)
    assert log.broke[0] is broken
    await writer.close()


async def test_a_commit_behind_another_is_given_up_at_its_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: who comes just after a commit that was slow waits for three times as long as anybody may."""
    writer, _, store = writer_for(tmp_path / "j.db")
    now, looks = 100.0, []
    monkeypatch.setattr(
        "relay.journal.writer.time", SimpleNamespace(monotonic=lambda: now, time_ns=lambda: 0, perf_counter=lambda: now)
    )
    later = Later(looks, lambda: now)
    monkeypatch.setattr(writer, "_loop", later)
    await writer.append(draft("before"))
    assert looks == [102.0]
    disk = Hangs(store, monkeypatch)
    now = 101.5
    hangs = writer.append(draft("hangs"))
    async with asyncio.timeout(5):
        await disk.entered.wait()
    now = 102.0
    later.look()
    assert looks == [102.0, 103.5]
    now = 103.5
    later.look()
    with pytest.raises(JournalUnavailable, match="has not answered"):
        await hangs
    disk.answer.set()
    async with asyncio.timeout(5):
        await writer._idle.wait()
    await writer.close()


class Later:
    """The event loop, but that what is to be done later is done by ``look``, and that only the time of it is noted."""

    def __init__(self, times: list[float], clock: Callable[[], float]) -> None:
        self._times, self._clock, self._loop = times, clock, asyncio.get_running_loop()
        self.look: Callable[[], None] = lambda: None

    def call_later(self, seconds: float, look: Callable[[], None]) -> None:
        self._times.append(self._clock() + seconds)
        self.look = look

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)
