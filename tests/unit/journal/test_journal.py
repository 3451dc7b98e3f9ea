from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Policy, open_journal
from relay.journal.projections.dead_letters import DeadLetters
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.drafts import dead_draft, draft
from tests.unit.edge.serving import opened as served
from tests.unit.journal.journals import fill, opened, under
from tests.unit.letters import count_letters, letters_in


async def test_over_the_backlog_cap_deliveries_are_refused_and_taken_again_as_it_drains(tmp_path: Path) -> None:
    """Broken: a long broker outage would fill the disk, or the relay would stay closed after it."""
    journal = await opened(tmp_path / "j.db", "kafka", policy=Policy(max_backlog=5))
    await fill(journal, 5)
    with pytest.raises(JournalUnavailable) as refused:
        await journal.append(draft("more"))
    assert refused.value.code == "backlog_full"
    assert journal.accepting() is refused.value or journal.accepting() is not None
    journal.progress.advance("kafka", 3, published=3, dead=0)
    assert journal.accepting() is None
    assert (await journal.append(draft("more"))).offset == 6
    await journal.close()


async def test_a_full_journal_waits_for_no_sink_that_catches_up(tmp_path: Path) -> None:
    """Broken: a sink that is added to a journal of its largest size stops every delivery until it has caught up."""
    path, policy = tmp_path / "j.db", Policy(max_size=1)
    journal = await open_journal(path, ["a"], policy, JournalSignals(Telemetry()), names=under("a"))
    await fill(journal, 4)
    journal.progress.advance("a", 4, published=4, dead=0)
    await journal.close()
    journal = await open_journal(path, ["a", "b"], policy, JournalSignals(Telemetry()), names=under("a", "b"))
    await fill(journal, 2, 4)
    assert (journal.progress.backlog(), journal.accepting()) == (2, None)
    await journal.close()


async def test_without_a_sink_the_journal_is_the_stream_and_has_no_backlog(tmp_path: Path) -> None:
    """Broken: a relay without a broker would refuse deliveries once the cap is reached."""
    journal = await opened(tmp_path / "j.db", policy=Policy(max_backlog=2))
    await fill(journal, 10)
    assert journal.progress.backlog() == 0
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


async def test_a_log_that_is_overdue_is_cut_while_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: where somebody always reads, the log never starts over, and grows until the disk is full."""
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


def _thread(_: DeadLetters) -> str:
    return threading.current_thread().name


async def test_a_question_is_asked_beside_the_journals_thread_and_a_change_made_in_it(tmp_path: Path) -> None:
    """Broken: a page that a reader asks for would hold up the commits, or two threads write to the file at once."""
    async with served(tmp_path) as journal:
        letters = journal.projection(DeadLetters)
        assert (await letters.query(_thread)).startswith("journal-reader")
        assert await letters.execute(_thread) == "journal"


async def test_a_question_sees_what_was_changed_before_it(tmp_path: Path) -> None:
    """Broken: a dead letter that was deleted would be shown again, and replayed."""
    async with served(tmp_path) as journal:
        letters = journal.projection(DeadLetters)
        await journal.append(dead_draft("dead-1"))
        assert await letters.query(DeadLetters.count) == 1
        assert await letters.execute(DeadLetters.delete, "dead-1")
        assert await letters.query(DeadLetters.count) == 0


async def test_what_the_file_cannot_answer_ends_the_journal_like_any_other_error_of_it(tmp_path: Path) -> None:
    """Broken: a damaged page would be a bug of one route, and deliveries be taken on."""

    def ask(table: DeadLetters) -> None:
        table._db.execute("SELECT count(*) FROM nothing")

    async with served(tmp_path) as journal:
        with pytest.raises(JournalBroken):
            await journal.projection(DeadLetters).query(ask)
        assert journal.broken.done()
