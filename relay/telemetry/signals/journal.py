"""Signals about the journal, and the dead letters that it holds."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Sequence
from functools import cache

from prometheus_client import Counter

from relay.core.errors import RelayError
from relay.core.event import Entry
from relay.telemetry.metrics import SECONDS
from relay.telemetry.spans import batch_span
from relay.telemetry.telemetry import Telemetry

_GROUP_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


def dead_letters_made(telemetry: Telemetry) -> Counter:
    """One counter for all parts that make dead letters. The maker writes the line."""
    return telemetry.metrics.counter("relay_dead_letters", "Dead letters created.", "reason")


class JournalSignals:
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry, self._log, metrics = telemetry, telemetry.log, telemetry.metrics
        self._commit = metrics.histogram(
            "relay_journal_commit_seconds", "Duration of group commits, including the fsync.", SECONDS
        ).series()
        self._group = metrics.histogram(
            "relay_journal_commit_events", "Deliveries per group commit.", _GROUP_SIZES
        ).series()
        # Kept: ``labels`` takes a lock and checks its arguments each time, commit after commit.
        self._accepted = cache(metrics.counter("relay_events", "Events accepted, by type.", "type").labels)
        self._events = metrics.gauge("relay_journal_events", "Events held in the journal.")
        self._bytes = metrics.gauge("relay_journal_bytes", "Bytes of the journal's pages in use.")
        self._held = metrics.gauge("relay_dead_letters_held", "Dead letters held.")
        self._expired = metrics.counter(
            "relay_dead_letters_expired", "Dead letters that expired: too old, or the journal too large.", "cause"
        )

    def group_committed(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None:
        """One group is on disk: its ``drafts`` became these new ``entries``."""
        self._commit.observe(seconds)
        self._group.observe(drafts)
        for name, count in Tally(entry.event.type for entry in entries).items():
            self._accepted(name).inc(count)
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
        """Dead letters that nobody took care of are gone: by their ``age``, or for the journal's ``size``."""
        self._expired.labels(cause).inc(count)
        self._log.warning("dead letters expired", count=count, cause=cause)

    def journal_broke(self, error: RelayError) -> None:
        """The journal cannot be trusted any more; the process is about to end."""
        self._log.critical("journal broke", code=error.code, error=error.message, hint=error.hint)

    def journal_ran_full(self, error: RelayError) -> None:
        """The disk has no room: nothing is taken until there is some again."""
        self._log.error("journal accepts nothing", code=error.code, error=error.message, hint=error.hint)

    def journal_has_room(self) -> None:
        """The journal takes events again, by what a commit has just shown."""
        self._log.info("journal has room again")

    def journal_looked_at(self, *, events: int, bytes: int, dead_letters: int) -> None:
        """A scrape is being answered."""
        self._events.set(events)
        self._bytes.set(bytes)
        self._held.set(dead_letters)
