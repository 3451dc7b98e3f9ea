"""The journal's store as plain dictionaries: what it must do, in the fewest words.

Two tests lean on it. The state machine of R9 holds the real store to it, so that the simulation of R10 may put it in
the place of the real one, which syncs a disk and cannot run in virtual time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay.core.chat.events import STARTED
from relay.core.event import CHAT, DeadLetter, Draft, Entry
from relay.core.publishing.lineage import Fork
from relay.journal.errors import JournalUnavailable
from relay.journal.plan import Known, Plan
from relay.journal.projection import Projection
from relay.journal.projections.dead_letters import HeldDeadLetter
from relay.journal.projections.history import History, Passage
from relay.journal.rows import Appended, Progress, SavedCheckpoint


@dataclass(slots=True)
class Disk:
    """What outlives a process."""

    journal_id: str
    events: dict[int, Entry] = field(default_factory=dict)
    facts: dict[bytes, tuple[bytes, int, int]] = field(default_factory=dict)
    """Key -> fingerprint, offset, when it was seen (epoch milliseconds)."""
    letters: dict[str, tuple[DeadLetter, str, int]] = field(default_factory=dict)
    """Each with its subject, and when it was kept."""
    saved: dict[str, SavedCheckpoint] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    """Open chats, each with the offset of its beginning."""
    forks: tuple[Fork, ...] = ()
    last_offset: int = 0
    merged_offset: int = 0

    def copied(self) -> Disk:
        """As it is now; a later state of this disk leaves the copy alone."""
        other = copy(self)
        other.events, other.facts = dict(self.events), dict(self.facts)
        other.letters, other.saved = dict(self.letters), dict(self.saved)
        other.streams = dict(self.streams)
        return other


class TwinHistory:
    """When each sink got what, event by event, and how often each was reported again: of this truth a crash takes
    nothing."""

    def __init__(self) -> None:
        self.sinks: dict[str, dict[int, tuple[int | None, str | None]]] = {}
        self.repetitions: Counter[int] = Counter()

    def passed(self, passage: Passage) -> None:
        known = self.sinks.setdefault(passage.sink, {})
        settled_as: dict[int, str] = dict(passage.exceptions)
        for offset in range(max(known, default=0) + 1, passage.offset + 1):
            known[offset] = (passage.at, settled_as.get(offset))

    def rewound(self, sink: str, offset: int) -> None:
        known = self.sinks.setdefault(sink, {})
        for gone in [each for each in known if each > offset]:
            del known[gone]


class TwinLetters:
    """The dead letters of a disk."""

    def __init__(self, letters: dict[str, tuple[DeadLetter, str, int]]) -> None:
        self._letters = letters

    def page(self, after: str, limit: int) -> list[HeldDeadLetter]:
        return [self._held(id) for id in sorted(self._letters) if id > after][:limit]

    def _held(self, id: str) -> HeldDeadLetter:
        dead, subject, at = self._letters[id]
        event = {"topic": dead.event.topic, **dict(dead.event.attributes())} if dead.event else None
        kept = (at, len(dead.raw), dead.event_offset, event, subject)
        return HeldDeadLetter(id, dead.origin, dead.reason, dead.detail, *kept)

    def delete(self, id: str) -> bool:
        return self._letters.pop(id, None) is not None


class TwinStore:
    """``relay.journal.store.Store`` without a file. ``full`` stands for a disk without space."""

    def __init__(self, disk: Disk, new_id: Callable[[], str]) -> None:
        self.disk = disk
        self.path = Path(os.devnull)
        self.full = False
        self.group_bytes = 8 << 20
        self.history = TwinHistory()
        self._new_id = new_id
        self._merging: list[bytes] | None = None
        self._merging_to = 0

    @property
    def journal_id(self) -> str:
        return self.disk.journal_id

    @property
    def forks(self) -> tuple[Fork, ...]:
        return self.disk.forks

    @property
    def last_offset(self) -> int:
        return self.disk.last_offset

    def _write(self) -> Disk:
        if self.full:
            raise JournalUnavailable("journal_full", "The twin's disk is full.", hint="")
        return self.disk

    def append(self, drafts: Sequence[Draft], now: int, progress: Mapping[str, Progress] | None = None) -> Appended:
        disk = self._write()
        plan = Plan(disk.last_offset, now)
        plan.add_all(drafts, self.known)
        disk.events |= {entry.offset: entry for entry in plan.entries}
        disk.facts |= {key: (fingerprint, offset, now) for key, fingerprint, offset in plan.new_keys}
        for dead, subject in plan.dead:
            disk.letters.setdefault(dead.id, (dead, subject, now))
        self._follow_streams([entry for entry in plan.entries if entry.event.topic == CHAT and entry.sink is None])
        for sink, moved in (progress or {}).items():
            disk.saved[sink] = disk.saved.get(sink, SavedCheckpoint()).then(moved)
        disk.last_offset = plan.last_offset
        self.history.repetitions.update(offset for offset, _ in plan.repeated)
        return Appended(plan.receipts, plan.entries)

    def _follow_streams(self, entries: Sequence[Entry]) -> None:
        """A beginning and an end in one group: it is over. (An end never comes before its beginning.)"""
        for entry in entries:
            if entry.event.type == STARTED:
                self.disk.streams.setdefault(entry.event.subject, entry.offset)
        for entry in entries:
            if entry.event.type != STARTED:
                self.disk.streams.pop(entry.event.subject, None)

    def open_chats(self) -> list[tuple[str, int]]:
        """What the projection ``Streams`` holds."""
        return sorted(self.disk.streams.items())

    def known(self, keys: Sequence[bytes]) -> Known:
        return {key: self.disk.facts[key][:2] for key in keys if key in self.disk.facts}

    def read(self, after: int, limit: int, max_bytes: int) -> list[Entry]:
        page: list[Entry] = []
        size = 0
        for offset in self._offsets(after):
            entry = self.disk.events[offset]
            size += len(entry.event.data)
            if len(page) == limit or (page and size > max_bytes):
                break
            page.append(entry)
        return page

    def _offsets(self, after: int) -> Iterable[int]:
        """Those beyond ``after``, in order: a dictionary keeps the order in which its entries came."""
        return (offset for offset in self.disk.events if offset > after)

    def checkpoints(self) -> dict[str, SavedCheckpoint]:
        return dict(self.disk.saved)

    def accepted_at(self, after: int) -> int | None:
        return next((self.disk.events[offset].accepted_at for offset in self._offsets(after)), None)

    def oldest_offset(self) -> int | None:
        return next(iter(self.disk.events), None)

    def newest_offset(self) -> int:
        return max(self.disk.events, default=self.disk.last_offset)

    def addressed(self, after: int) -> list[tuple[int, str]]:
        return [(n, entry.sink) for n, entry in self.disk.events.items() if n > after and entry.sink is not None]

    def projection(self, kind: type[Projection]) -> Any:
        return self.history if kind is History else TwinLetters(self.disk.letters)

    def execute(self, change: Callable[..., Any], *args: Any) -> Any:
        self._write()
        return change(*args)

    def fork(self, at: int, beyond: int, published: Mapping[str, int] | None = None) -> None:
        disk = self._write()
        upto = max(disk.last_offset, beyond)
        disk.forks = (*disk.forks, Fork(disk.journal_id, at, disk.last_offset, upto, dict(published or {})))
        disk.journal_id, disk.last_offset = self._new_id(), upto

    def prune(self, *, floor: int, older_than: int, over_size: int, chunk: int = 500) -> int:
        """By age only: the size of a file is not the twin's business."""
        oldest = self.oldest_offset()
        if oldest is None or oldest > floor or self.disk.events[oldest].accepted_at >= older_than:
            return 0
        first = list(self.disk.events)[:chunk]
        younger = [n for n in first if self.disk.events[n].accepted_at >= older_than]
        last = younger[0] - 1 if younger else first[-1]
        cut = min(last, floor, self.disk.merged_offset)
        gone = [n for n in self.disk.events if n <= cut]
        for n in gone if gone and self._write() else ():
            del self.disk.events[n]
        return len(gone)

    def sweep_dedup(self, after: bytes, *, older_than: int, step: int = 2000) -> bytes:
        disk = self._write()
        merged = [
            k for k, (_, offset, seen) in disk.facts.items() if offset <= disk.merged_offset and seen < older_than
        ]
        for key in merged:
            del disk.facts[key]
        return b""

    swept = b""

    def write_what_waits(self, now: int) -> None: ...

    def merge_is_due(self) -> bool:
        return False

    def wal_is_long(self) -> bool:
        return False

    def checkpoint_wal(self) -> None: ...

    def size(self) -> int:
        return 0

    def close(self) -> None: ...


class TwinReaders:
    """Stands for ``relay.journal.reader.Readers`` over a twin, which answers at once and on no thread."""

    def __init__(self, store: TwinStore, **_: object) -> None:
        self._store = store

    async def call(self, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``question`` is a method of the real reader, or a function of any reader."""
        named = getattr(self._store, question.__name__, None)
        return named(*args, **kwargs) if named else question(self._store, *args, **kwargs)

    async def close(self) -> None: ...
