from __future__ import annotations

from pathlib import Path

import pytest

from relay.journal.errors import JournalUnavailable
from relay.journal.projections.dead_letters import DeadLetters
from tests.unit.journal.journals import Quiet, opened


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
