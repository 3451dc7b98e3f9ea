from __future__ import annotations

import threading
from pathlib import Path

import pytest

from relay.journal.errors import JournalBroken
from relay.journal.projections.dead_letters import DeadLetters
from tests.unit.drafts import dead_draft
from tests.unit.edge.serving import opened


def _thread(_: DeadLetters) -> str:
    return threading.current_thread().name


async def test_a_question_is_asked_beside_the_journals_thread_and_a_change_made_in_it(tmp_path: Path) -> None:
    """Broken: a page that a reader asks for would hold up the commits, or two threads write to the file at once."""
    async with opened(tmp_path) as journal:
        letters = journal.projection(DeadLetters)
        assert (await letters.query(_thread)).startswith("journal-reader")
        assert await letters.execute(_thread) == "journal"


async def test_a_question_sees_what_was_changed_before_it(tmp_path: Path) -> None:
    """Broken: a dead letter that was deleted would be shown once more, and replayed."""
    async with opened(tmp_path) as journal:
        letters = journal.projection(DeadLetters)
        await journal.append(dead_draft("dead-1"))
        assert await letters.query(DeadLetters.count) == 1
        assert await letters.execute(DeadLetters.delete, "dead-1")
        assert await letters.query(DeadLetters.count) == 0


async def test_what_the_file_cannot_answer_ends_the_journal_like_any_other_error_of_it(tmp_path: Path) -> None:
    """Broken: a damaged page would be a bug of one route, and deliveries be taken on."""

    def ask(table: DeadLetters) -> None:
        table._db.execute("SELECT count(*) FROM nothing")

    async with opened(tmp_path) as journal:
        with pytest.raises(JournalBroken):
            await journal.projection(DeadLetters).query(ask)
        assert journal.broken.done()
