"""A journal in a file of its own, without signals, and events in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from relay.core.publishing.lineage import Names
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal, Policy, open_journal
from tests.unit.drafts import draft


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


def under(*sinks: str) -> Names:
    """What a journal is published under."""
    return Names("relay-0", dict.fromkeys(sinks, "some"))
