"""Signals about one sink."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from relay.clocks import wall_ms
from relay.core.errors import RelayError
from relay.core.event import Entry
from relay.telemetry.metrics import SECONDS
from relay.telemetry.signals.journal import dead_letters_made
from relay.telemetry.spans import NOWHERE, Attributes, Span, batch_span
from relay.telemetry.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class SinkFigures:
    """What one sink's gauges show at a scrape; ``lag_seconds`` is the age of its oldest unpublished event.

    The loss balance: ``accepted`` is the sum of ``published``, ``pending``, ``dead`` and ``absorbed``.
    """

    accepted: int
    published: int
    pending: int
    dead: int
    absorbed: int
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a sink takes nothing, in the words of the last error. ``since``: epoch milliseconds of the first in a row."""

    code: str
    message: str
    hint: str
    since: int


class SinkSignals:
    """Signals about one sink; ``system`` is what kind of sink it is, where the label is another word."""

    def __init__(self, telemetry: Telemetry, label: str, system: str | None = None) -> None:
        self._telemetry, self._label, self.system = telemetry, label, system or label
        self.up: bool | None = None
        """Whether it was there at the last look; ``None`` before the first."""
        self.trouble: Trouble | None = None
        self._log = telemetry.log.bind(sink=label)
        self._dead_letters = dead_letters_made(telemetry)
        metrics = telemetry.metrics
        self._up = metrics.gauge("relay_sink_up", "1 while the sink accepts events.", "sink").labels(label)
        self._up.set(0)
        published = metrics.counter("relay_published", "Events acknowledged by the sink.", "sink", "topic")
        # Kept: ``labels`` takes a lock and checks its arguments each time, batch after batch.
        self._published = cache(partial(published.labels, label))
        self._failures = metrics.counter("relay_publish_failures", "Batches whose publishing failed.", "sink", "code")
        self._latency = metrics.histogram(
            "relay_end_to_end_seconds", "Time from acceptance to the sink's acknowledgement.", SECONDS, "sink"
        ).series(label)
        self._missing = metrics.counter(
            "relay_sink_events_missing",
            "Events that the sink lost and the journal no longer holds; they are in no other count.",
            "sink",
        )
        self._lag_events = metrics.gauge(
            "relay_publish_lag_events", "Events the sink has not received yet.", "sink"
        ).labels(label)
        self._lag_seconds = metrics.gauge(
            "relay_publish_lag_seconds", "Age of the oldest event the sink has not received yet.", "sink"
        ).labels(label)
        self._ledger = metrics.gauge(
            "relay_sink_events",
            "Events of the journal by state: published, pending, dead, or absorbed (published by another replica).",
            "sink",
            "state",
        )
        self._accepted = metrics.gauge(
            "relay_sink_events_accepted",
            "Events accepted for the sink since the journal began; relay_sink_events must add up to it.",
            "sink",
        ).labels(label)

    def sink_opened(self, offset: int, pending: int) -> None:
        """Connected; publishing goes on after ``offset``."""
        self._up.set(1)
        self.up, self.trouble = True, None
        self._log.info("sink opened", after_offset=offset, pending=pending)

    def sink_lost(self, error: RelayError, retry_in: float) -> None:
        """Unavailable. Logged once per cause, not once per attempt."""
        self._up.set(0)
        self._failures.labels(self._label, error.code).inc()
        known = self.trouble
        log = self._log.debug if known is not None and known.code == error.code else self._log.warning
        log("sink unavailable", code=error.code, error=error.message, hint=error.hint, retry_in=round(retry_in, 3))
        since = wall_ms() if known is None else known.since
        self.up, self.trouble = False, Trouble(error.code, error.message, error.hint, since)

    def sink_rewound(self, expected: int, found: int) -> None:
        """The sink holds less than it had acknowledged; the journal publishes the difference again."""
        self._log.warning("sink lost acknowledged events, publishing them again", expected=expected, found=found)

    def sink_ahead(self, found: int, last_offset: int) -> None:
        """The sink knows this journal further than the journal itself: it was restored from an older copy."""
        self._log.error(
            "sink is ahead of the journal, which must be an older copy; offsets go on beyond it",
            found=found,
            last_offset=last_offset,
        )

    def events_missing(self, count: int) -> None:
        """The sink lost more than the journal retains: that much will not come again."""
        self._missing.labels(self._label).inc(count)
        self._log.error("sink lost events that the journal no longer retains", events=count)

    def place_carried_over(self, identity: str, label: str, offset: int) -> None:
        """The sink knew this journal under a former name: publishing goes on from there, under the present one."""
        self._log.info(
            "sink's checkpoint moved to this identity", former_identity=identity, former_name=label, offset=offset
        )

    def lineage_started(self, journal_id: str) -> None:
        """The sink's checkpoint belongs to another journal (a new or lost volume): this one starts from its start."""
        self._log.warning("sink belongs to another journal, starting a new lineage", journal_id=journal_id)

    def batch_begun(self, entries: Sequence[Entry]) -> Span:
        """A batch is about to be published, in this span."""
        spans = self._telemetry.spans
        if not spans.on:
            return NOWHERE
        events = [entry.event for entry in entries]
        topics = {event.topic for event in events}
        attributes: Attributes = {
            "messaging.system": self.system,
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.batch.message_count": len(events),
            "messaging.destination.name": topics.pop() if len(topics) == 1 else None,
            "relay.sink": self._label,
        }
        return batch_span(spans, f"publish {self._label}", "producer", attributes, events, time.time_ns())

    def batch_published(self, topics: dict[str, int], latencies: Iterable[float]) -> None:
        """A batch is on the sink for good."""
        for topic, count in topics.items():
            self._published(topic).inc(count)
        for seconds in latencies:
            self._latency.observe(seconds)

    def event_buried(self, code: str, event_id: str, detail: str) -> None:
        """The sink refused an event for good; it is a dead letter now."""
        self._failures.labels(self._label, code).inc()
        self._dead_letters.labels(code).inc()
        self._log.warning("event became a dead letter", code=code, event_id=event_id, detail=detail)

    def sink_looked_at(self, figures: SinkFigures) -> None:
        """A scrape is being answered."""
        self._lag_events.set(figures.pending)
        self._lag_seconds.set(figures.lag_seconds)
        self._accepted.set(figures.accepted)
        for state in ("published", "pending", "dead", "absorbed"):
            self._ledger.labels(self._label, state).set(getattr(figures, state))
