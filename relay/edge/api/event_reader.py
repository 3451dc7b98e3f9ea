"""Reads the journal for one consumer, in pieces small enough to wait in memory if it is slow."""

from __future__ import annotations

from typing import Final, NamedTuple

from relay.core.event import Entry
from relay.core.event_filter import EventFilter
from relay.core.pruned import Span
from relay.journal.event_log import EventLog

PIECE_EVENTS: Final = 100
PIECE_BYTES: Final = 64 << 10
"""What is read of the journal, and written to a consumer, at once: bytes of data, or one event that is larger."""

_ENVELOPE: Final = 1024
"""Bytes of an event beside its data, and more than most have."""

_MOST_EVENTS: Final = 1000
"""Of one read, where little of what is read is wanted: none of it waits for the consumer."""


class Piece(NamedTuple):
    """What comes next: wanted events; or ``pruned``, those that the journal held at the place and holds no more."""

    entries: list[Entry]
    pruned: Span | None = None
    texts: int = 1
    """How often the data may come in the answer, in whatever form."""

    @property
    def size(self) -> int:
        """Bytes that it takes as text, about."""
        return sum(self.texts * len(entry.event.data) + _ENVELOPE for entry in self.entries)


class EventReader:
    """Reads on from a place. ``place``: the offset up to which no wanted event is left out.

    Who begins at 0 wants what is held, and has missed nothing of what is not. ``upto``: nothing beyond is of interest.
    """

    def __init__(
        self, events: EventLog, after: int, wanted: EventFilter, upto: int | None = None, *, texts: int = 1
    ) -> None:
        self.place, self._upto, self._texts = after, upto, texts
        self._events, self._wanted = events, wanted
        self._reach = PIECE_EVENTS

    @property
    def caught_up(self) -> bool:
        """Whether nothing newer is held."""
        return self.place >= self._last

    @property
    def at_end(self) -> bool:
        """Whether nothing can come that is of interest."""
        return self._upto is not None and self.place >= self._upto

    @property
    def _last(self) -> int:
        last = self._events.last_offset
        return last if self._upto is None else min(last, self._upto)

    async def next(self, limit: int = PIECE_EVENTS) -> Piece:
        """The next piece, of at most so many events; it may be empty although not all is read. Does not wait."""
        last = self._last
        events = self._reach if self._wanted.selective else min(limit, PIECE_EVENTS)
        entries = await self._events.read(self.place, events, PIECE_BYTES * self._reach // PIECE_EVENTS)
        while entries and self._upto is not None and entries[-1].offset > self._upto:
            del entries[-1]
        before = entries[0].offset - 1 if entries else max(self.place, last)
        if self.place and self._events.counter.events(self.place, before):
            pruned = Span(self.place + 1, before)
            self.place = before
            return Piece([], pruned)
        found = self._taken(entries, limit)
        if not entries:
            self.place = before  # offsets may end in a gap: a sink knew more of this journal than it holds
        return Piece(found, texts=self._texts)

    def _taken(self, entries: list[Entry], limit: int) -> list[Entry]:
        """What is wanted of the entries, as far as it fits a piece; where much is wanted, less is read next time."""
        found: list[Entry] = []
        room = PIECE_BYTES
        for entry in entries:
            if self._wanted.takes(entry):
                room -= len(entry.event.data)
                if found and (len(found) == limit or room < 0):
                    self._reach = PIECE_EVENTS
                    return found
                found.append(entry)
            self.place = entry.offset
        self._reach = min(2 * self._reach, _MOST_EVENTS) if self._wanted.selective else PIECE_EVENTS
        return found
