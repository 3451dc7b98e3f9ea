"""Signals about the journal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from relay.core.errors import RelayError
from relay.core.event import Entry
from relay.telemetry.metrics import SECONDS
from relay.telemetry.signals.dead_letters import DeadLetterSignals
from relay.telemetry.spans import batch_span
from relay.telemetry.telemetry import Telemetry

_GROUP_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


@dataclass(frozen=True, slots=True)
class JournalFigures:
    """What the journal's gauges show at a scrape."""

    events: int
    bytes: int
    dead_letters: int


class JournalSignals:
    """Signals about the journal."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry, self._log, metrics = telemetry, telemetry.log, telemetry.metrics
        self._dead_letters = DeadLetterSignals(telemetry)
        self._commit = metrics.histogram(
            "relay_journal_commit_seconds", "Duration of group commits, including the fsync.", SECONDS
        ).series()
        self._group = metrics.histogram(
            "relay_journal_commit_events", "Deliveries per group commit.", _GROUP_SIZES
        ).series()
        self._events = metrics.gauge("relay_journal_events", "Events held in the journal.")
        self._bytes = metrics.gauge("relay_journal_bytes", "Bytes of the journal's pages in use.")

    def group_committed(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None:
        """One group is on disk: its ``drafts`` became these new ``entries``."""
        self._commit.observe(seconds)
        self._group.observe(drafts)
        if self._telemetry.spans.on:
            self._trace_commit(entries, drafts, seconds)

    def _trace_commit(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None:
        attributes = {"relay.journal.drafts": drafts, "relay.journal.events": len(entries)}
        began = time.time_ns() - round(seconds * 1e9)
        events = (entry.event for entry in entries)
        batch_span(self._telemetry.spans, "journal commit", "internal", attributes, events, began).end()

    def journal_opened(self, path: str, journal_id: str, last_offset: int, sqlite: str) -> None:
        """The journal is open and recovered."""
        self._log.info("journal opened", path=path, journal_id=journal_id, last_offset=last_offset, sqlite=sqlite)

    def journal_pruned(self, events: int) -> None:
        """Old events that every sink has were deleted."""
        self._log.debug("journal pruned", events=events)

    def dead_letters_expired(self, count: int, cause: str) -> None:
        """See ``DeadLetterSignals``."""
        self._dead_letters.dead_letters_expired(count, cause)

    def journal_broke(self, error: RelayError) -> None:
        """The journal cannot be trusted any more; the process is about to end."""
        self._log.critical("journal broke", code=error.code, error=error.message, hint=error.hint)

    def journal_ran_full(self, error: RelayError) -> None:
        """The disk has no room: nothing is taken until there is some again."""
        self._log.error("journal accepts nothing", code=error.code, error=error.message, hint=error.hint)

    def journal_has_room(self) -> None:
        """The journal takes events again, by what a commit has just shown."""
        self._log.info("journal has room again")

    def journal_looked_at(self, figures: JournalFigures) -> None:
        """A scrape is being answered."""
        self._events.set(figures.events)
        self._bytes.set(figures.bytes)
        self._dead_letters.dead_letters_looked_at(figures.dead_letters)
