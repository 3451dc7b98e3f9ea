"""R8: damaged journal files. The relay recovers what it acknowledged, or refuses to start and says what to do.

What nothing in the files can show is named here, too: a log that was cut off between two commits, and damage to its
last transaction, which looks like a power cut. There the sink, which is ahead, shows it
(``relay.core.publishing.lineage``).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay.core.errors import RelayError
from relay.core.event import Draft, Entry
from relay.core.publishing.lineage import Lineage, resume
from relay.core.sink import Checkpoint
from relay.journal.rows import Progress
from relay.journal.store import Store
from relay.journal.volume import log_of
from tests.faults.harness import corruption
from tests.faults.harness.corruption import Files, Mutation
from tests.faults.harness.matrix import Effort, Row
from tests.unit.drafts import dead_draft, draft

NOW = 1_700_000_000_000


@dataclass(slots=True)
class Scene:
    """A journal as ``kill -9`` leaves it: a main file, and a log of several commits beyond it."""

    files: Files
    older: Files
    entries: list[Entry]
    drafts: dict[int, Draft]
    journal_id: str
    last_transaction: int
    """The byte of the log at which the last commit begins."""


def read_files(path: Path) -> Files:
    """As they are now. What was written is what ``kill -9`` leaves."""
    return Files(*(file.read_bytes() if file.exists() else None for file in (path, log_of(path))))


def write_files(path: Path, files: Files) -> None:
    for file, data in ((path, files.main), (log_of(path), files.log)):
        file.unlink(missing_ok=True)
        if data is not None:
            file.write_bytes(data)


@dataclass(slots=True)
class Author:
    """Writes a journal and remembers what was acknowledged."""

    store: Store
    dice: random.Random
    prefix: str
    entries: list[Entry] = field(default_factory=list)
    drafts: dict[int, Draft] = field(default_factory=dict)
    written: int = 0

    def group(self) -> None:
        """One commit of some events, dead letters among them."""
        drafts = []
        for _ in range(self.dice.randrange(1, 9)):
            self.written += 1
            name = f"{self.prefix}{self.written}"
            data = b'{"n":"' + b"x" * self.dice.randrange(10, 1500) + b'"}'
            drafts.append(dead_draft(f"dead-{name}") if self.dice.random() < 0.1 else draft(name, data=data))
        progress = {"kafka": Progress(len(self.entries), 1, 0)}
        appended = self.store.append(drafts, NOW, progress if self.dice.random() < 0.3 else None)
        self.drafts |= {receipt.offset: each for receipt, each in zip(appended.receipts, drafts, strict=True)}
        self.entries += appended.entries

    def merge(self) -> None:
        while self.store.merge_dedup():
            pass


def written(path: Path, seed: int, prefix: str) -> Scene:
    """A journal with some 30 events in its file and some 40 beyond them in its log."""
    store = Store(path)
    author = Author(store, random.Random(seed), prefix)
    for _ in range(6):
        author.group()
    author.merge()
    store.checkpoint_wal()
    author.group()  # restarts the log
    older = read_files(path)
    for _ in range(8):
        author.group()
    author.merge()
    for _ in range(4):
        last_transaction = corruption.HEADER + corruption.frames_in(log_of(path).read_bytes()) * corruption.FRAME
        author.group()
    files = read_files(path)
    journal_id = store.journal_id
    store.close()
    return Scene(files, older, author.entries, author.drafts, journal_id, last_transaction)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return written(tmp_path_factory.mktemp("scene") / "relay.db", seed=8, prefix="t")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return written(tmp_path_factory.mktemp("other") / "relay.db", seed=9, prefix="other-")


def mutations(scene: Scene, other: Scene, dice: random.Random, count: int) -> Iterator[Mutation]:
    """Every cut and every missing file, and ``count`` rounds of flipped bits."""
    yield from corruption.cuts(scene.files)
    yield from corruption.gone(scene.files, other.files, scene.older)
    yield from corruption.flips(scene.files, dice, scene.last_transaction, count)


def outcome(path: Path, scene: Scene, mutation: Mutation) -> str:
    """What a relay makes of it: ``refused``, ``whole``, or how it falls short."""
    write_files(path, mutation.apply(scene.files))
    try:
        store = Store(path)
        try:
            return _judged(store, scene)
        finally:
            store.close()
    except RelayError as error:
        clear = error.code.startswith("journal_") and error.hint and str(path) in error.message
        return "refused" if clear else f"WRONG: refused without saying what to do: {error!r}"


def _judged(store: Store, scene: Scene) -> str:
    entries = store.read(0, 10_000, 1 << 30)
    if entries != scene.entries[: len(entries)]:
        return "WRONG: an event is not what was accepted"
    for entry in entries:
        if store.append([scene.drafts[entry.offset]], NOW).receipts[0].offset != entry.offset:
            return f"WRONG: event {entry.offset} is not recognized any more"
    if len(entries) == len(scene.entries):
        return "whole"
    if store.journal_id != scene.journal_id:
        return "another journal"  # whose lineage the sinks do not know: nothing new is taken for published
    held = Checkpoint(scene.journal_id, scene.entries[-1].offset)
    found = resume(held, Lineage(store.journal_id, (), store.last_offset, 1), "kafka", 0)
    return "shorter, and a sink shows it" if found.finding == "older_copy" else "WRONG: shorter, and nothing shows it"


@pytest.mark.row("R8", "corrupt journal files")
def test_a_damaged_journal_is_whole_or_refused(
    scene: Scene, other: Scene, effort: Effort, row: Row, tmp_path: Path
) -> None:
    """Broken: a relay would start on a damaged journal as if nothing had happened, and what it acknowledged be gone."""
    dice = random.Random(row.seed)
    outcomes: dict[str, Counter[str]] = {}
    wrong = []
    for mutation in mutations(scene, other, dice, effort(short=15, full=250)):
        found = outcome(tmp_path / "relay.db", scene, mutation)
        outcomes.setdefault(mutation.kind, Counter())[found] += 1
        row.injected(mutation.kind)
        if found.startswith("WRONG") or (found not in ("whole", "refused") and not mutation.may_lose):
            wrong.append(f"{mutation.name}: {found}")
    row.load = f"{len(scene.entries)} events"
    row.counted(acknowledged=len(scene.entries), lost=len(wrong))
    row.notes += [f"{kind}: {dict(found)}" for kind, found in outcomes.items()]
    print(*row.notes, sep="\n")
    assert not wrong, "\n".join(wrong)
    assert sum(row.faults.values()) >= 60
