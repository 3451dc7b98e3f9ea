"""A journal that holds a million events, written through the relay's own store (``python -m bench._million PATH``)."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path

from bench._journals import fill
from bench._steady import BODY
from relay.core.event import Draft
from relay.core.source import Delivery
from relay.journal.store import Store
from relay.sources.novita_task import NovitaTask

EVENTS = 1_000_000
GROUP = 2_000


def journal_of_a_million(path: Path, events: int = EVENTS) -> None:
    """Writes the journal; about a minute and 2 GB."""
    source, store = NovitaTask(), Store(path)
    now = time.time_ns() // 1_000_000
    try:
        for _ in range(0, events, GROUP):
            made = [source.normalize(Delivery((BODY % uuid.uuid4()).encode(), now)) for _ in range(GROUP)]
            fill(store, [draft for draft in made if isinstance(draft, Draft)], now)
    finally:
        store.close()


if __name__ == "__main__":
    journal_of_a_million(Path(sys.argv[1]))
