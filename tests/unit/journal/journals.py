"""A journal in a file of its own, and events in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from relay.core.publishing.lineage import Names
from relay.journal.journal import Journal, Policy, open_journal
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.drafts import draft


async def opened(path: Path, *sinks: str, policy: Policy | None = None) -> Journal:
    return await open_journal(path, sinks, policy or Policy(), JournalSignals(Telemetry()))


async def fill(journal: Journal, count: int, start: int = 0) -> None:
    await asyncio.gather(*(journal.append(draft(str(start + n))) for n in range(count)))


def under(*sinks: str) -> Names:
    """What a journal is published under."""
    return Names("relay-0", dict.fromkeys(sinks, "some"))
