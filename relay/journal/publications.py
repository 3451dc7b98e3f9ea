"""When each event reached each sink: from the checkpoints, and from what the journal noted on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from relay.core.dead import refusal_key
from relay.core.event import Entry
from relay.journal.event_log import EventLog
from relay.journal.journal import Projected
from relay.journal.projections.history import Found, History
from relay.journal.sink_progress import SinkProgress

PublicationState = Literal["published", "pending", "dead", "absorbed"]

_NOTHING: Final = Found(None, None)


@dataclass(frozen=True, slots=True)
class Publication:
    """Where one event is on one sink.

    ``published``: it is there, since ``at`` (epoch milliseconds; ``None``: nobody noted when, nor whether another
    replica has published it). ``pending``: not yet. ``dead``: refused for good, and kept as a dead letter.
    ``absorbed``: another replica has published it.
    """

    sink: str
    offset: int
    state: PublicationState
    at: int | None = None


class Publications:
    """Of the events of one open journal."""

    def __init__(self, events: EventLog, progress: SinkProgress, history: Projected[History]) -> None:
        self._events, self._progress, self._history = events, progress, history

    async def of(self, entries: Sequence[Entry]) -> list[Publication]:
        """Of each entry, on each sink that it is for, in the order of the entries."""
        places = {entry.offset: place for place, entry in enumerate(entries)}
        found = [each for sink in self._progress.sinks for each in await self._on_sink(sink, entries)]
        return sorted(found, key=lambda each: places[each.offset])

    async def _on_sink(self, sink: str, entries: Sequence[Entry]) -> list[Publication]:
        mine = [entry for entry in entries if entry.sink in (None, sink)]
        position = self._progress.position(sink)  # looked at first: what it has passed by now is noted
        settled = [entry for entry in mine if entry.offset <= position]
        offsets = [entry.offset for entry in settled]
        noted = await self._history.query(History.passages, sink, offsets) if offsets else {}
        refused = await self._refused(sink, [e for e in settled if noted.get(e.offset, _NOTHING) == _NOTHING])
        return [_publication(sink, e.offset, position, noted.get(e.offset, _NOTHING), refused) for e in mine]

    async def _refused(self, sink: str, entries: Sequence[Entry]) -> frozenset[int]:
        """Which of them have become dead letters: the journal knows those facts when it has noted nothing else."""
        keys = {refusal_key(entry, sink): entry.offset for entry in entries}
        return frozenset(keys[key] for key in (await self._events.known(list(keys)) if keys else ()))


def _publication(sink: str, offset: int, position: int, noted: Found, refused: frozenset[int]) -> Publication:
    if offset > position:
        return Publication(sink, offset, "pending")
    if noted.settled_as is not None or offset in refused:
        return Publication(sink, offset, noted.settled_as or "dead")
    return Publication(sink, offset, "published", noted.at)
