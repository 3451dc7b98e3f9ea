from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.journal import maintenance as module
from relay.journal.errors import JournalUnavailable
from relay.journal.journal import Journal, Policy, open_journal
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.projections.history import History
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.drafts import dead_draft, draft
from tests.unit.journal.journals import fill, opened
from tests.unit.letters import count_letters


@pytest.mark.parametrize("step", ["merge_dedup", "prune", "write_what_waits", "sweep_dedup"])
async def test_a_full_disk_does_not_end_the_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Broken: a disk that is full for a minute would end the relay, which has only to say 503 until there is room."""
    for every in ("_EVERY", "_MERGE_EVERY", "_SWEEP_EVERY"):
        monkeypatch.setattr(module, every, 0.01)
    journal = await opened(tmp_path / "j.db", policy=Policy(retention=0.0, dedup_window=0.0))
    store = journal._store
    done = getattr(store, step)
    full, worked = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def fails_first(*args: Any, **options: Any) -> Any:
        if not full.is_set():
            loop.call_soon_threadsafe(full.set)
            raise JournalUnavailable("disk_full", "The disk is full.", hint="")
        loop.call_soon_threadsafe(worked.set)
        return done(*args, **options)

    monkeypatch.setattr(store, step, fails_first)
    care = asyncio.ensure_future(journal.maintenance.run())
    async with asyncio.timeout(20):
        await worked.wait()
    assert not care.done()
    care.cancel()
    await journal.close()


async def test_a_quiet_journal_writes_down_what_it_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last events before a pause were published would be lost with the process."""
    monkeypatch.setattr(module, "_EVERY", 0.01)
    monkeypatch.setattr("relay.journal.projections.history.QUIET", 0)
    journal = await opened(tmp_path / "j.db", "kafka")
    await fill(journal, 1)
    journal.progress.advance("kafka", 1, published=1, dead=0)
    care = asyncio.ensure_future(journal.maintenance.run())
    async with asyncio.timeout(20):
        while not await journal.projection(History).query(
            lambda table: table._db.execute("SELECT * FROM passages").fetchall()
        ):
            await asyncio.sleep(0.01)
    care.cancel()
    await journal.close()


async def test_tending_prunes_what_every_sink_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: the journal would grow without end."""
    monkeypatch.setattr(module, "_EVERY", 0.01)
    monkeypatch.setattr(module, "_MERGE_EVERY", 0.01)
    journal = await opened(tmp_path / "j.db", "kafka", policy=Policy(retention=0.0))
    await fill(journal, 1200)
    journal.progress.advance("kafka", 1100, published=1100, dead=0)
    care = asyncio.ensure_future(journal.maintenance.run())
    async with asyncio.timeout(20):
        while journal.events.count() > 100:
            await asyncio.sleep(0.01)
    care.cancel()
    assert journal.events.count() == 100
    assert [entry.offset for entry in await journal.events.read(1100, 1)] == [1101]
    await journal.close()


async def test_a_disk_is_full_until_a_commit_has_shown_that_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: deliveries would be taken and refused by turns for as long as the disk is full."""
    monkeypatch.setattr(module, "_ROOM_EVERY", 0.01)
    journal = await opened(tmp_path / "j.db")
    tries: list[bool] = []
    regained = journal._store.regain_room

    def third_time() -> None:
        tries.append(journal.accepting() is not None)
        if len(tries) < 3:
            raise JournalUnavailable("disk_full", "The disk is full.", hint="")
        regained()

    monkeypatch.setattr(journal._store, "regain_room", third_time)
    journal.condition.failed(JournalUnavailable("disk_full", "The disk is full.", hint=""))
    await looked_after(journal, monkeypatch, lambda: journal.accepting() is None, every=3600.0)
    assert tries == [True] * 3
    await journal.close()


async def test_a_journal_larger_than_allowed_shrinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: journal.max_size would be no limit: the disk fills long before the retention is over."""
    signals = JournalSignals(Telemetry())
    journal = await open_journal(tmp_path / "j.db", ["kafka"], Policy(max_size=1), signals)
    await fill(journal, 50)
    journal.progress.advance("kafka", 40, published=40, dead=0)
    pruned: list[int] = []
    monkeypatch.setattr(signals, "journal_pruned", pruned.append)
    await looked_after(journal, monkeypatch, lambda: journal.events.count() <= 10)
    assert journal.events.count() == 10, "what a sink has not got stays"
    assert pruned == [40]
    with pytest.raises(JournalUnavailable, match="max_size") as refused:
        await journal.append(draft("more"))
    assert refused.value.code == "journal_full"
    await journal.close()


@pytest.mark.parametrize(
    ("policy", "result"),
    [
        pytest.param(Policy(retention=0.0, dedup_window=3600.0), "duplicate", id="the event is gone, its key is not"),
        pytest.param(Policy(retention=3600.0, dedup_window=0.0), "accepted", id="the key is gone, its event is not"),
    ],
)
async def test_a_fact_is_known_for_the_window_whatever_the_retention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Policy, result: str
) -> None:
    """P4 broken: a repetition would be published twice, or the index of keys outgrow its window."""
    monkeypatch.setattr(module, "_SWEEP_EVERY", 0.0)
    monkeypatch.setattr(module, "_SWEEPS", 1_000_000_000)  # at every look
    journal = await opened(tmp_path / "j.db", policy=policy)
    await fill(journal, 5)
    sweeps, sweep = [], journal._store.sweep_dedup

    def noted(after: bytes, *, older_than: int) -> bytes:
        sweeps.append(sweep(after, older_than=older_than))
        return sweeps[-1]

    monkeypatch.setattr(journal._store, "sweep_dedup", noted)
    await asyncio.sleep(0.002)  # they are older than no time at all
    await looked_after(journal, monkeypatch, lambda: len(sweeps) > 3)
    assert journal.events.count() == (0 if result == "duplicate" else 5)
    assert (await journal.append(draft("0"))).result == result
    await journal.close()


def _passages(history: History) -> list[object]:
    return history._db.execute("SELECT * FROM passages").fetchall()


async def looked_after(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, done: Callable[[], bool], *, every: float = 0.01
) -> None:
    """Returns when the care has brought this about."""
    monkeypatch.setattr(module, "_EVERY", every)
    monkeypatch.setattr(module, "_MERGE_EVERY", 0.01)
    care = asyncio.ensure_future(journal.maintenance.run())
    try:
        async with asyncio.timeout(20):
            while not done():
                await asyncio.sleep(0.01)
    finally:
        care.cancel()


def expired(telemetry: Telemetry, cause: str) -> float | None:
    """Dead letters that have expired."""
    return telemetry.metrics.registry.get_sample_value("relay_dead_letters_expired_total", {"cause": cause})


async def test_dead_letters_never_go_silently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: P5: what an operator had to see would be gone without a trace."""
    telemetry = Telemetry()
    journal = await open_journal(tmp_path / "j.db", [], Policy(dead_letter_retention=0.0), JournalSignals(telemetry))
    await asyncio.gather(*(journal.append(dead_draft(f"dead {n}")) for n in range(3)))
    assert await count_letters(journal) == 3
    await asyncio.sleep(0.002)  # they are older than no time at all
    await looked_after(journal, monkeypatch, lambda: expired(telemetry, "age") == 3)
    assert await count_letters(journal) == 0
    await journal.close()


async def test_the_sweep_keeps_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: at more events a second than one step of the sweep the index grows without end."""
    monkeypatch.setattr(module, "_SWEEP_EVERY", 0.0)
    journal = await opened(tmp_path / "j.db", policy=Policy(dedup_window=0.0))
    steps, looks = [], []
    sweep, look = journal._store.sweep_dedup, journal._store.write_what_waits

    def small(after: bytes, *, older_than: int) -> bytes:
        steps.append(after)
        return sweep(after, older_than=older_than, step=10)

    monkeypatch.setattr(journal._store, "sweep_dedup", small)
    monkeypatch.setattr(journal._store, "write_what_waits", lambda now: looks.append(now) or look(now))
    await fill(journal, 400)
    await looked_after(journal, monkeypatch, lambda: len(steps) > 50)
    assert len(looks) < len(steps) / 2
    await journal.close()


async def test_dead_letters_make_room_where_the_journal_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: journal.max_size is no limit: a flood of broken deliveries fills the disk, and events go instead."""
    telemetry = Telemetry()
    journal = await open_journal(tmp_path / "j.db", [], Policy(max_size=1), JournalSignals(telemetry))
    await asyncio.gather(*(journal.append(dead_draft(f"dead {n}")) for n in range(3)))
    await looked_after(journal, monkeypatch, lambda: expired(telemetry, "size") == 3)
    assert await count_letters(journal) == 0
    await journal.close()


class Sweeps:
    """Notes where each step of a sweep began and ended; a step is of ten keys."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[tuple[bytes, bytes]] = []
        self._sweep = journal._store.sweep_dedup
        monkeypatch.setattr(journal._store, "sweep_dedup", self)

    def __call__(self, after: bytes, *, older_than: int) -> bytes:
        self.steps.append((after, self._sweep(after, older_than=older_than, step=10)))
        return self.steps[-1][1]

    @property
    def over(self) -> bool:
        return any(not upto for _, upto in self.steps)


async def test_a_sweep_that_was_begun_goes_on_at_the_next_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: an index of millions of keys is swept at some thousands an hour, and grows without end."""
    monkeypatch.setattr(module, "_SWEEP_EVERY", 0.0)
    monkeypatch.setattr(module, "_SWEEP_STEPS", 1)
    journal = await opened(tmp_path / "j.db")
    assert journal.maintenance._sweep_every == 3600
    await fill(journal, 100)
    while await journal._writer.call(journal._store.merge_dedup):
        pass
    sweeps = Sweeps(journal, monkeypatch)
    await looked_after(journal, monkeypatch, lambda: sweeps.over)
    assert [after for after, _ in sweeps.steps[1:]] == [upto for _, upto in sweeps.steps[:-1]]
    assert len(sweeps.steps) > 9
    await journal.close()


async def test_the_care_sweeps_on_where_the_last_process_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a relay that is restarted often sweeps the first keys again and again, and never the others."""
    monkeypatch.setattr(module, "_SWEEP_EVERY", 0.0)
    before = await opened(tmp_path / "j.db")
    await fill(before, 30)
    while await before._writer.call(before._store.merge_dedup):
        pass
    noted = await before._writer.call(before._store.sweep_dedup, b"", older_than=1 << 60, step=10)
    await before.close()
    journal = await opened(tmp_path / "j.db")
    sweeps = Sweeps(journal, monkeypatch)
    await looked_after(journal, monkeypatch, lambda: sweeps.over)
    assert noted
    assert sweeps.steps[0][0] == noted
    await journal.close()


async def test_a_commit_that_finds_the_disk_full_is_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: readiness says that deliveries are taken while none is, or the alarm sounds with each of them."""
    noted: list[str] = []
    monkeypatch.setattr(JournalSignals, "journal_ran_full", lambda _, error: noted.append(error.code))
    journal = await opened(tmp_path / "j.db")

    def failing(_: DeadLetters, code: str) -> None:
        raise JournalUnavailable(code, "It cannot.", hint="")

    with pytest.raises(JournalUnavailable):
        await journal.projection(DeadLetters).execute(failing, "busy")
    assert journal.accepting() is None
    for _ in range(2):
        with pytest.raises(JournalUnavailable):
            await journal.projection(DeadLetters).execute(failing, "disk_full")
    refusal = journal.accepting()
    assert (refusal and refusal.code, noted) == ("disk_full", ["disk_full"])
    await journal.close()
