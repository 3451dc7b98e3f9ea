"""R7: the journal's disk is full, or fails. 503 and never 2xx; the relay goes on by itself, or ends to be restarted."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import shutil
import sqlite3
import time
import uuid
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import aiohttp
import orjson
import pytest

from tests.faults.conftest import Shared
from tests.faults.harness.load import SENDERS_WAIT, Sender
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.strace import attached
from tests.faults.harness.trial import Trial
from tests.services.volume import small_volume

RATE = 100
RECOVERS_WITHIN = 2.0
ENDS_WITHIN = 10.0
SPAN = 1.5
"""Seconds for which a disk stays full."""
HANGS_FOR = 6.0
EXPIRES = 15.0
HEALS_WITHIN = 20.0
"""Seconds for which events are kept, and after which a full disk has room again."""


def failing(trial: Trial, calls: str, how: str) -> AbstractAsyncContextManager[None]:
    """The kernel answers these system calls of the relay as ``how`` says (strace's words for an injection)."""
    options = ["-ttt", "-e", f"trace={calls}", "-e", f"inject={calls}:{how}"]
    return attached(trial.relay.pid, trial.relay.directory / "strace.txt", *options)


async def fill_disk(trial: Trial) -> None:
    """No room for ``SPAN`` seconds."""
    async with failing(trial, "pwrite64,ftruncate,fallocate", "error=ENOSPC"):
        trial.injected("ENOSPC")
        await asyncio.sleep(0.2)  # what was under way when strace came is answered by now
        with trial.journal_closed():
            await asyncio.sleep(SPAN)


@pytest.mark.row("R7", "disk full")
async def test_a_full_disk_is_503_until_there_is_room(shared: Shared, tmp_path: Path, row: Row, effort: Effort) -> None:
    """Broken: P1: a 2xx for what is not on disk, or a relay that stays shut when there is room again."""
    recovered = []
    async with Trial(tmp_path, shared("redis"), row=row, rate=RATE) as trial:
        for _ in range(effort(short=1, full=4)):
            await trial.acknowledged()
            await fill_disk(trial)
            room = time.monotonic()
            await trial.acknowledged(1)
            recovered.append(time.monotonic() - room)
        await trial.acknowledged()
        await trial.conclude()
    row.notes.append(f"taken again after {max(recovered):.2f} s at most; answers {dict(trial.load.tally.answers)}")
    assert max(recovered) < effort.within(RECOVERS_WITHIN)
    assert set(trial.load.tally.answers) == {"200", "503"}


@pytest.mark.matrix
@pytest.mark.row("R7", "disk fills and heals")
@pytest.mark.parametrize(
    ("size", "large"),
    [(8, 1), (32, 1), (8, 200), (32, 200)],
    ids=["8 MiB, 1 KB", "32 MiB, 1 KB", "8 MiB, 200 KB", "32 MiB, 200 KB"],
)
async def test_a_full_disk_heals_by_itself(size: int, large: int, shared: Shared, tmp_path: Path, row: Row) -> None:
    """Broken: once a disk was full nothing on it can be pruned, and the relay stays shut until somebody comes."""
    journal = {"path": str(tmp_path / "volume" / "relay.db"), "retention": f"{EXPIRES:.0f}s"}
    healed = []
    with small_volume(tmp_path / "volume", size):
        async with Trial(tmp_path, shared("redis"), row=row, rate=20, journal=journal, prunes=True) as trial:
            for restart in (False, True):
                await trial.acknowledged(20)
                await fill_up(trial, large)
                trial.injected(f"a volume of {size} MiB is full")
                full = time.monotonic()
                if restart:
                    assert await trial.relay.stop() == 0
                    trial.relay.launch()
                await ready_again(trial, (200, []), within=EXPIRES + HEALS_WITHIN)
                await trial.acknowledged(20)
                healed.append(time.monotonic() - full)
            await trial.conclude()
    row.notes.append(f"taken again {max(healed):.1f} s after it was full; what fills it expires after {EXPIRES:.0f} s")


async def fill_up(trial: Trial, kilobytes: int) -> None:
    """Delivers events of this size until the relay says that there is no room for another one.

    Not until the first refusal: what was delivered before may expire in the very next moment, and make room again.
    """
    full = asyncio.create_task(ready_again(trial, (503, ["disk_full"]), within=60.0))
    async with Sender(lambda: trial.relay.webhook_url, trial.load.record, clients=16) as sender:

        async def some() -> None:
            while not full.done():
                task_id = f"large-{uuid.uuid4()}"
                task = {"task_id": task_id, "status": "TASK_STATUS_SUCCEED", "note": "x" * (kilobytes << 10)}
                await sender.post(orjson.dumps({"task": task}))

        await asyncio.gather(*(some() for _ in range(16)))
    await full


async def ready_again(trial: Trial, ready: tuple[int, list[str]], within: float = 10.0) -> None:
    """Returns when ``/readyz`` says so."""
    found: object = None
    try:
        async with asyncio.timeout(within):
            while found != ready:
                await asyncio.sleep(0.1)
                with contextlib.suppress(OSError):  # it is just starting
                    found = await trial.relay.ready()
    except TimeoutError:
        raise AssertionError(f"{found}, and not {ready}: {trial.relay.log.read_text()[-2000:]}") from None


@pytest.mark.row("R7", "disk hangs")
async def test_a_disk_that_hangs_is_503_until_it_answers(
    shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P1: deliveries hang with the disk until their senders give up, and nothing says that they had better go
    elsewhere."""
    async with Trial(tmp_path, shared("redis"), row=row, rate=RATE) as trial:
        for _ in range(effort(short=1, full=4)):
            await trial.acknowledged()
            # The next sync of each thread; those after it come back as usual.
            async with failing(trial, "fdatasync,fsync", f"delay_enter={round(HANGS_FOR * 1e6)}:when=1"):
                trial.injected("a sync that hangs")
                await refused_as(trial, "journal_stalled", within=SENDERS_WAIT)
                assert await trial.relay.ready() == (503, ["journal_stalled"])
            await trial.acknowledged(1)
            async with asyncio.timeout(effort.within(RECOVERS_WITHIN)):
                while await trial.relay.ready() != (200, []):
                    await asyncio.sleep(0.02)
        await trial.acknowledged()
        await trial.conclude()
    row.notes.append(f"answers {dict(trial.load.tally.answers)}")
    assert set(trial.load.tally.answers) == {"200", "503"}


async def refused_as(trial: Trial, code: str, within: float) -> None:
    """A delivery of our own is refused with this code; no answer may take longer than senders wait."""
    async with asyncio.timeout(within), aiohttp.ClientSession() as session:
        found = ""
        while found != code:
            task_id = f"refused-{time.monotonic_ns()}"
            body = orjson.dumps({"task": {"task_id": task_id, "status": "TASK_STATUS_SUCCEED"}})
            async with session.post(trial.relay.webhook_url, data=body) as response:
                answer = orjson.loads(await response.read())
                if response.status == 200:
                    trial.load.record.note(answer["event_id"], body)
                else:
                    assert (response.status, response.headers["Retry-After"]) == (503, "5")
                    found = answer["code"]


@pytest.mark.row("R7", "I/O error")
@pytest.mark.parametrize(
    ("calls", "error"),
    [("fdatasync,fsync", "EIO"), pytest.param("pwrite64", "EIO", marks=pytest.mark.matrix)],
)
async def test_a_failing_disk_ends_the_relay(
    calls: str, error: str, shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: after a failed sync the kernel may forget the pages: every further 2xx would be a guess."""
    async with Trial(tmp_path, shared("redis"), row=row, rate=RATE) as trial:
        for _ in range(effort(short=1, full=4)):
            await trial.acknowledged()
            async with failing(trial, calls, f"error={error}"):
                trial.injected(f"{error} from {calls}")
                await asyncio.sleep(0.2)  # what was under way when strace came is answered by now
                with trial.journal_closed():
                    assert await trial.died(effort.within(ENDS_WITHIN)) == 1
            await trial.restart()
        await trial.acknowledged()
        await trial.conclude()
    assert "journal_broken" in trial.relay.log.read_text()


@pytest.mark.row("R7", "one failed sync")
async def test_after_one_failed_sync_nothing_more_is_taken(
    shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P1: what waited behind the group that failed would be written and answered 2xx, by a disk that has just
    dropped pages and reports success from then on."""
    async with Trial(tmp_path, shared("redis"), row=row, rate=RATE) as trial:
        for _ in range(effort(short=1, full=4)):
            await trial.acknowledged()
            # The first sync of each thread only, and slowly, so that others are waiting when it fails.
            async with failing(trial, "fdatasync,fsync", "error=EIO:when=1:delay_exit=100000"):
                trial.injected("EIO from one fdatasync")
                assert await trial.died(effort.within(ENDS_WITHIN)) == 1
            [failed_at, *_] = failures(trial.relay.directory / "strace.txt")
            assert accepted_after(trial.relay.directory / "relay.db", failed_at) == 0
            await trial.restart()
        await trial.acknowledged()
        await trial.conclude()


def failures(trace: Path) -> list[float]:
    """When each system call began that was made to fail, in epoch seconds."""
    return [float(at) for at in re.findall(r"^\d+ +(\d+\.\d+) .*INJECTED", trace.read_text(), re.MULTILINE)]


def accepted_after(journal: Path, at: float) -> int:
    """How many events a dead relay's journal holds that came to be written after this time (epoch seconds).

    Looked up in a copy: closing the last connection to a journal would move its log into it.
    """
    copy = journal.with_name("copy.db")
    for file in journal.parent.glob("relay.db*"):
        shutil.copy(file, file.with_name(file.name.replace(journal.name, copy.name)))
    with closing(sqlite3.connect(copy)) as db:
        return int(db.execute("SELECT count(*) FROM events WHERE accepted_at > ?", (at * 1000,)).fetchone()[0])


@pytest.mark.row("R7", "file size limit")
async def test_a_limit_on_the_size_of_files_ends_the_relay_and_not_its_promises(
    shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: a write that the kernel cuts short (quota, ulimit) would be taken for written."""
    async with Trial(tmp_path, shared("redis"), row=row, rate=RATE) as trial:
        await trial.acknowledged()
        wal = trial.relay.directory / "relay.db-wal"
        limit = wal.stat().st_size + 10_000
        trial.injected("RLIMIT_FSIZE")
        resource.prlimit(trial.relay.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        assert await trial.died(effort.within(ENDS_WITHIN)) == 1
        await trial.restart()
        await trial.acknowledged()
        await trial.conclude()
