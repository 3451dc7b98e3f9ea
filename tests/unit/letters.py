"""The dead letters of an open journal."""

from __future__ import annotations

from relay.journal.journal import Journal
from relay.journal.projections.dead_letters import DeadLetters, HeldDeadLetter


async def letters_in(journal: Journal) -> list[HeldDeadLetter]:
    """The first ten, in the order of their ids, without raw bytes."""
    return await journal.projection(DeadLetters).query(DeadLetters.page, "", 10)


async def letter_in(journal: Journal, id: str) -> HeldDeadLetter | None:
    """One with its raw bytes."""
    return await journal.projection(DeadLetters).query(DeadLetters.find, id)


async def count_letters(journal: Journal) -> int:
    """How many are held."""
    return await journal.projection(DeadLetters).query(DeadLetters.count)
