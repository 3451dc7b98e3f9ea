"""Which drafts of a group become entries. Pure: decided before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relay.core.dedup import judge
from relay.core.event import DeadLetter, Draft, Entry, Receipt

Known = dict[bytes, tuple[bytes, int]]
"""Dedup keys that the journal has, each with its fingerprint and the offset of its event."""

Lookup = Callable[[Sequence[bytes]], Known]


class Plan:
    """Which drafts become entries, decided before anything is written."""

    def __init__(self, last_offset: int, now: int) -> None:
        self.last_offset = last_offset
        self.now = now
        self.receipts: list[Receipt] = []
        self.entries: list[Entry] = []
        self.new_keys: list[tuple[bytes, bytes, int]] = []
        self.dead: list[tuple[DeadLetter, str]] = []
        """Each with its subject."""
        self.repeated: list[tuple[int, str]] = []
        """Facts that were reported again: the offset of each one's event, and how."""

    def add_all(self, drafts: Sequence[Draft], lookup: Lookup) -> None:
        known: Known = lookup([draft.key for draft in drafts])
        for draft in drafts:
            self._add(draft, known, lookup)

    def _add(self, draft: Draft, known: Known, lookup: Lookup) -> None:
        seen = known.get(draft.key)
        if seen is not None:
            conflict = judge(draft, seen[0])
            if conflict is None:
                self.receipts.append(Receipt("duplicate", draft.event.id, seen[1]))
                if draft.via is not None:
                    self.repeated.append((seen[1], draft.via))
                return
            known.update(lookup([conflict.key]) if conflict.key not in known else {})
            self._add(conflict, known, lookup)
            return
        self.last_offset += 1
        known[draft.key] = (draft.fingerprint, self.last_offset)
        self.new_keys.append((draft.key, draft.fingerprint, self.last_offset))
        self.entries.append(Entry(self.last_offset, self.now, draft.event, draft.sink, draft.key, draft.fingerprint))
        if draft.dead is not None:
            self.dead.append((draft.dead, draft.event.subject))
        self.receipts.append(Receipt("dead" if draft.dead else "accepted", draft.event.id, self.last_offset))
