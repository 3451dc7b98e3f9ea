from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from relay.core.publishing.lineage import Names
from relay.journal import journal as module
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal, Policy, open_journal
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.recount import Shown
from relay.journal.rows import SavedCheckpoint
from relay.journal.store import Store
from tests.unit.drafts import dead_draft, draft
from tests.unit.letters import count_letters, letters_in


class Quiet:
    """Signals that nobody listens to."""

    def group_committed(self, entries: object, drafts: int, seconds: float) -> None: ...

    def journal_pruned(self, events: int) -> None: ...

    def dead_letters_expired(self, count: int, cause: str) -> None: ...

    def journal_broke(self, error: JournalBroken) -> None: ...

    def journal_ran_full(self, error: JournalUnavailable) -> None: ...

    def journal_has_room(self) -> None: ...


async def opened(path: Path, *sinks: str, policy: Policy | None = None) -> Journal:
    return await open_journal(path, sinks, policy or Policy(), Quiet())


async def fill(journal: Journal, count: int, start: int = 0) -> None:
    await asyncio.gather(*(journal.append(draft(str(start + n))) for n in range(count)))


async def test_reading_is_the_same_from_memory_and_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a sink that falls behind the part kept in memory would skip or repeat events."""
    monkeypatch.setattr(module, "TAIL_EVENTS", 20)
    journal = await opened(tmp_path / "j.db")
    for start in range(0, 100, 10):
        await fill(journal, 10, start)
    for after in range(101):
        page = await journal.read(after, 7)
        assert [entry.offset for entry in page] == list(range(after + 1, min(after + 8, 101)))
    await journal.close()


async def test_pages_are_bounded_in_bytes(tmp_path: Path) -> None:
    """Broken: a batch could exceed what a sink takes, and be refused for ever."""
    journal = await opened(tmp_path / "j.db")
    await asyncio.gather(*(journal.append(draft(str(n), data=b'"' + b"x" * 98 + b'"')) for n in range(10)))
    assert len(await journal.read(0, 10, 350)) == 3
    assert len(await journal.read(0, 10, 1)) == 1
    await journal.close()


async def test_waiting_ends_with_the_next_event_only(tmp_path: Path) -> None:
    """Broken: a publisher would spin, or sleep through events."""
    journal = await opened(tmp_path / "j.db")
    waiting = asyncio.ensure_future(journal.wait(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    await journal.append(draft("a"))
    async with asyncio.timeout(5):
        await waiting
    duplicate = asyncio.ensure_future(journal.wait(1))
    await journal.append(draft("a"))
    assert not duplicate.done()
    duplicate.cancel()
    await journal.close()


async def test_over_the_backlog_cap_deliveries_are_refused_and_taken_again_as_it_drains(tmp_path: Path) -> None:
    """Broken: a long broker outage would fill the disk, or the relay would stay closed after it."""
    journal = await opened(tmp_path / "j.db", "kafka", policy=Policy(max_backlog=5))
    await fill(journal, 5)
    with pytest.raises(JournalUnavailable) as refused:
        await journal.append(draft("more"))
    assert refused.value.code == "backlog_full"
    assert journal.accepting() is refused.value or journal.accepting() is not None
    journal.advance("kafka", 3, published=3, dead=0)
    assert journal.accepting() is None
    assert (await journal.append(draft("more"))).offset == 6
    await journal.close()


def under(*sinks: str) -> Names:
    return Names("relay-0", dict.fromkeys(sinks, "some"))


async def test_what_a_sink_catches_up_on_is_no_backlog(tmp_path: Path) -> None:
    """Broken: a sink that is added, returns, or has lost everything turns every delivery into a 503."""
    path, policy = tmp_path / "j.db", Policy(max_backlog=5)

    async def opened_with(*sinks: str) -> Journal:
        return await open_journal(path, sinks, policy, Quiet(), names=under(*sinks))

    journal = await opened_with("a")
    for start in range(0, 20, 4):
        await fill(journal, 4, start)
        journal.advance("a", start + 4, published=4, dead=0)
    await journal.close()

    journal = await opened_with("a", "b")  # added
    assert (journal.pending("b"), journal.backlog(), journal.floor()) == (20, 0, 0)
    await fill(journal, 3, 20)
    assert journal.backlog() == 3
    await journal.close()

    journal = await opened_with("a", "b")  # what has come since it is there counts, whatever restarts
    assert (journal.pending("b"), journal.backlog()) == (23, 3)
    for sink in ("a", "b"):
        journal.advance(sink, 23, published=journal.pending(sink), dead=0)
    await fill(journal, 2, 23)
    await journal.recount("b", Shown(0, empty=True))  # it has lost everything
    assert (journal.pending("b"), journal.backlog()) == (25, 2)
    for sink in ("a", "b"):
        journal.advance(sink, 25, published=journal.pending(sink), dead=0)
    await journal.close()

    journal = await opened_with("a")
    for start in range(25, 45, 4):
        await fill(journal, 4, start)
        journal.advance("a", start + 4, published=4, dead=0)
    await journal.close()
    journal = await opened_with("a", "b")  # it has returned
    assert (journal.pending("b"), journal.backlog()) == (20, 0)
    await fill(journal, 5, 45)
    with pytest.raises(JournalUnavailable):
        journal.append(draft("more"))
    await journal.close()


async def test_a_full_journal_waits_for_no_sink_that_catches_up(tmp_path: Path) -> None:
    """Broken: a sink that is added to a journal of its largest size stops every delivery until it has caught up."""
    path, policy = tmp_path / "j.db", Policy(max_size=1)
    journal = await open_journal(path, ["a"], policy, Quiet(), names=under("a"))
    await fill(journal, 4)
    journal.advance("a", 4, published=4, dead=0)
    await journal.close()
    journal = await open_journal(path, ["a", "b"], policy, Quiet(), names=under("a", "b"))
    await fill(journal, 2, 4)
    assert (journal.backlog(), journal.accepting()) == (2, None)
    await journal.close()


async def test_the_slowest_sink_decides_what_may_go(tmp_path: Path) -> None:
    """Broken: retention would look at one sink and delete what another has not got."""
    journal = await opened(tmp_path / "j.db", "kafka", "redis")
    await fill(journal, 4)
    journal.advance("kafka", 4, published=4, dead=0)
    assert (journal.floor(), journal.backlog(), journal.pending("kafka"), journal.pending("redis")) == (0, 4, 0, 4)
    journal.advance("redis", 2, published=2, dead=0)
    assert journal.floor() == 2
    await journal.recount("kafka", Shown(1))
    assert (journal.floor(), journal.saved("kafka").published) == (1, 1)
    await journal.recount("kafka", Shown(3))
    assert (journal.floor(), journal.saved("kafka").published) == (2, 3)
    await journal.close()


async def test_positions_survive_a_restart(tmp_path: Path) -> None:
    """Broken: after a restart without its sink the relay would not know what may be pruned."""
    journal = await opened(tmp_path / "j.db", "kafka")
    await fill(journal, 4)
    journal.advance("kafka", 3, published=2, dead=1)
    await journal.close()
    again = await opened(tmp_path / "j.db", "kafka", "redis")
    assert (again.position("kafka"), again.position("redis")) == (3, 0)
    assert (again.saved("kafka").published, again.saved("kafka").dead) == (2, 1)
    await again.close()


async def test_without_a_sink_the_journal_is_the_stream_and_has_no_backlog(tmp_path: Path) -> None:
    """Broken: a relay without a broker would refuse deliveries once the cap is reached."""
    journal = await opened(tmp_path / "j.db", policy=Policy(max_backlog=2))
    await fill(journal, 10)
    assert journal.backlog() == 0
    await journal.close()


async def test_a_broken_journal_takes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a 2xx could be given for an event that a failing disk never kept (invariant I5)."""
    journal = await opened(tmp_path / "j.db")

    def fail(*_: object) -> None:
        raise JournalBroken("journal_broken", "I/O error", hint="")

    monkeypatch.setattr(journal._store, "append", fail)
    with pytest.raises(JournalBroken):
        await journal.append(draft("a"))
    monkeypatch.undo()
    with pytest.raises(JournalBroken):
        journal.append(draft("b"))
    assert isinstance(journal.accepting(), JournalBroken)
    assert journal.broken.done()
    await journal.close()


async def test_dead_letters_are_counted_as_they_come_and_go(tmp_path: Path) -> None:
    """Broken: relay_dead_letters_held would drift from what is held."""
    journal = await opened(tmp_path / "j.db")
    await journal.append(dead_draft("dead-1"))
    await journal.append(dead_draft("dead-2"))
    assert await count_letters(journal) == 2
    assert [letter.id for letter in await letters_in(journal)] == [
        "dead-1",
        "dead-2",
    ]
    assert await journal.projection(DeadLetters).execute(DeadLetters.delete, "dead-1")
    assert not await journal.projection(DeadLetters).execute(DeadLetters.delete, "dead-1")
    assert await count_letters(journal) == 1
    await journal.close()


async def test_the_age_of_the_oldest_pending_event_is_known(tmp_path: Path) -> None:
    """Broken: relay_publish_lag_seconds would not see events that are about to expire."""
    journal = await opened(tmp_path / "j.db", "kafka")
    assert await journal.oldest_pending_at("kafka") is None
    await fill(journal, 3)
    first, second = (entry.accepted_at for entry in (await journal.read(0, 2)))
    assert await journal.oldest_pending_at("kafka") == first
    journal.advance("kafka", 1, published=1, dead=0)
    assert await journal.oldest_pending_at("kafka") == second
    await journal.close()


async def test_reading_across_the_gap_of_a_fork_skips_nothing(tmp_path: Path) -> None:
    """Broken: after a fork a reader would count its way into the wrong place, and skip events."""
    journal = await opened(tmp_path / "j.db")
    await fill(journal, 3)
    await journal.fork("none", 50)
    await fill(journal, 3, start=3)
    assert [entry.offset for entry in await journal.read(0, 10)] == [1, 2, 3, 51, 52, 53]
    for after, expected in ((2, 3), (3, 51), (40, 51), (50, 51), (51, 52), (52, 53)):
        assert (await journal.read(after, 1))[0].offset == expected
    await journal.close()


def balance(journal: Journal, sink: str) -> tuple[int, int]:
    """What was accepted, and the sum of where it is."""
    saved = journal.saved(sink)
    return journal.accepted(sink), saved.published + journal.pending(sink) + saved.dead + saved.absorbed


async def test_the_offsets_that_a_new_identity_skips_are_counted_as_no_event(tmp_path: Path) -> None:
    """P5 broken: after a restore the gauges would show events that never were, and a sink that is away would turn
    webhooks off with a backlog of nothing."""
    journal = await opened(tmp_path / "j.db", "kafka", policy=Policy(max_backlog=100))
    await fill(journal, 3)
    journal.advance("kafka", 2, published=2, dead=0)
    await journal.fork("none", 5_000)
    await fill(journal, 2, start=3)
    assert (journal.events_held(), journal.pending("kafka"), journal.backlog()) == (5, 3, 3)
    assert journal.accepting() is None
    assert balance(journal, "kafka") == (5, 5)
    journal.advance("kafka", 5_002, published=3, dead=0)
    assert balance(journal, "kafka") == (5, 5)
    await journal.close()
    again = await opened(tmp_path / "j.db", "kafka")
    assert (again.events_held(), balance(again, "kafka")) == (5, (5, 5))
    await again.recount("kafka", Shown(1))
    assert (again.pending("kafka"), balance(again, "kafka")) == (4, (5, 5))
    await again.close()


async def test_the_balance_knows_whose_events_are_whose(tmp_path: Path) -> None:
    """P5 broken: a replay to one sink would be an event that the others never get."""
    journal = await opened(tmp_path / "j.db", "kafka", "redis")
    await fill(journal, 2)
    await journal.append(draft("replayed")._replace(sink="redis"))
    await fill(journal, 1, start=2)
    assert (journal.pending("kafka"), journal.pending("redis")) == (3, 4)
    journal.advance("kafka", 4, published=2, dead=0, absorbed=1)
    journal.advance("redis", 4, published=3, dead=1)
    assert (balance(journal, "kafka"), balance(journal, "redis")) == ((3, 3), (4, 4))
    assert journal.saved("kafka") == SavedCheckpoint(4, 2, 0, 1, 1)
    await journal.close()


async def test_an_event_that_a_sink_was_never_given_shows_in_the_balance(tmp_path: Path) -> None:
    """P5 broken: the sum would be made to fit, and hide the loss that it is there to show."""
    journal = await opened(tmp_path / "j.db", "kafka")
    await fill(journal, 4)
    journal.advance("kafka", 4, published=3, dead=0)
    assert balance(journal, "kafka") == (4, 3)
    await journal.close()


async def test_a_sink_that_joins_late_counts_from_there(tmp_path: Path) -> None:
    """P5 broken: what was pruned before a sink was there would be missing on it for ever."""
    journal = await opened(tmp_path / "j.db", "kafka")
    await fill(journal, 6)
    journal.advance("kafka", 4, published=4, dead=0)
    await journal.close()
    store = Store(tmp_path / "j.db")
    store.merge_dedup()
    assert store.prune(floor=4, older_than=1 << 60, over_size=1 << 60) == 4
    store.close()
    for _ in range(2):  # known from the first start on, published or not
        journal = await opened(tmp_path / "j.db", "kafka", "redis")
        assert (balance(journal, "kafka"), balance(journal, "redis")) == ((6, 6), (2, 2))
        assert journal.saved("redis").passed == 4
        await journal.close()


async def test_a_log_that_is_overdue_is_cut_while_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: where somebody always reads, the log never begins anew, and grows until the disk is full."""
    journal = await opened(tmp_path / "j.db")
    store, readers = journal._store, journal._readers
    overdue, idle, checkpoint = [], [], store.checkpoint_wal

    def noted() -> None:
        idle.append(readers._idle.qsize())
        checkpoint()

    monkeypatch.setattr(store, "wal_is_long", lambda: True)
    monkeypatch.setattr(store, "wal_is_overdue", lambda: bool(overdue) and overdue.pop())
    monkeypatch.setattr(store, "checkpoint_wal", noted)
    for task in "ab":
        idle.clear()
        overdue.append(True)
        await journal.append(draft(task))
        async with asyncio.timeout(5):
            while 0 not in idle:
                await asyncio.sleep(0.001)
    await journal.close()


async def test_a_commit_that_finds_the_disk_full_is_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: readiness says that deliveries are taken while none is, or the alarm sounds with each of them."""
    noted: list[str] = []
    monkeypatch.setattr(Quiet, "journal_ran_full", lambda _, error: noted.append(error.code))
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
