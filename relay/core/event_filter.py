"""Which events a consumer or a replay asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.core.clock import parse_rfc3339
from relay.core.event import TYPES, Entry


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; ``None`` is all. Instants are epoch milliseconds of the events' ``time``, both included."""

    topics: Sequence[str] | None = None
    types: Sequence[str] | None = None
    subject: str | None = None
    not_before: int | None = None
    not_after: int | None = None

    @property
    def types_taken(self) -> Sequence[str] | None:
        """The types that topics and types let through; ``None``: all."""
        if self.topics is None:
            return self.types
        return [kind for kind in self.types or TYPES if TYPES[kind] in self.topics]

    @property
    def selective(self) -> bool:
        """Whether it leaves anything out."""
        return self != EventFilter()

    def takes(self, entry: Entry) -> bool:
        """Whether an entry is wanted. What was meant for one sink is not: it has its place under its first offset."""
        event = entry.event
        return (
            entry.sink is None
            and (self.topics is None or event.topic in self.topics)
            and (self.types is None or event.type in self.types)
            and self.subject in (None, event.subject)
            and self._in_time(event.time)
        )

    def _in_time(self, time: str) -> bool:
        if self.not_before is None and self.not_after is None:
            return True
        at = parse_rfc3339(time)
        return (self.not_before is None or at >= self.not_before) and (self.not_after is None or at <= self.not_after)
