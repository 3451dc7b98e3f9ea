"""A journal at work in a process of its own, watched from outside by ``strace``: ``test_power_loss.py`` runs it.

    python -m tests.faults.harness.journal_session FOLDER SEED GROUPS [PLANTED]

Each group's receipts go to standard output in one write, after the commit: a line of JSON as a 2xx would be.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import orjson

from relay.journal import dedup_index, volume
from relay.journal.rows import Progress
from relay.journal.store import Store
from tests.unit.drafts import dead_draft, draft

NOW = 1_700_000_000_000


def acknowledge(store: Store, count: int, dice: random.Random, names: list[str]) -> None:
    """Commits one group, then reports it."""
    drafts = []
    for _ in range(count):
        names.append(f"t{len(names)}")
        data = b'{"n":"' + b"x" * dice.randrange(10, 2500) + b'"}'
        drafts.append(dead_draft(names[-1]) if dice.random() < 0.1 else draft(names[-1], data=data))
    progress = {"kafka": Progress(dice.randrange(len(names)), 1, 0)} if dice.random() < 0.3 else None
    receipts = store.append(drafts, NOW, progress).receipts
    line = orjson.dumps([[receipt.offset, each.event.id] for receipt, each in zip(receipts, drafts, strict=True)])
    os.write(1, line + b"\n")


class Careless(Store):
    """Planted: a commit is not synced."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._db.execute("PRAGMA synchronous = NORMAL")


def main(folder: Path, seed: int, groups: int, planted: str = "") -> None:
    """Groups, and between them all that a relay does to its file: moving the log, merging, forking, reopening."""
    dedup_index.MERGE_STEP = 20
    opened = Careless if planted == "commits are not synced" else Store
    if planted == "new folders are not synced":
        volume.sync_folder = lambda folder: None
    dice = random.Random(seed)
    names: list[str] = []
    store = opened(folder / "new" / "relay.db")
    for _ in range(groups):
        acknowledge(store, dice.randrange(1, 9), dice, names)
        chance = dice.random()
        if chance < 0.12:
            store.checkpoint_wal()
        elif chance < 0.24:
            store.merge_dedup()
        elif chance < 0.27:
            store.fork(store.last_offset, store.last_offset + 3)
        elif chance < 0.30:
            store.close()
            store = opened(folder / "new" / "relay.db")
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
