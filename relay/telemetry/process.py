"""The process's metrics and its log; the signals of the process and of the journal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest

from relay import __version__
from relay.core.errors import RelayError
from relay.core.event import Entry
from relay.telemetry.log import Sparing
from relay.telemetry.metrics import SECONDS, Histogram
from relay.telemetry.signals.claims import ClaimSignals
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.health import Health
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.signals.tasks import TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.spans import OFF, Spans, batch_span

_GROUP_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series beside each counter, which no dashboard reads

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of ``Telemetry.exposition``."""


@dataclass(frozen=True, slots=True)
class JournalFigures:
    """What the journal's gauges show at a scrape."""

    events: int
    bytes: int
    dead_letters: int


class Telemetry:
    """The process's metrics, its log and its spans. One instance, handed to the parts that signal."""

    def __init__(self) -> None:
        self.spans: Spans = OFF
        """Exchanged before anything is signalled, where tracing is on."""
        self.registry = CollectorRegistry(auto_describe=False)
        self.log = structlog.get_logger("relay")
        self._malformed = Sparing()
        r = self.registry
        self._deliveries = Counter(
            "relay_deliveries", "Deliveries answered, by how they ended.", ["source", "result"], registry=r
        )
        self._ack = self.histogram(
            "relay_webhook_ack_seconds", "From the request's head to its answer.", SECONDS, "source"
        )
        self._commit = self.histogram(
            "relay_journal_commit_seconds", "Group commits, the fsync included.", SECONDS
        ).series()
        self._group = self.histogram(
            "relay_journal_commit_events", "Deliveries per group commit.", _GROUP_SIZES
        ).series()
        self._events = Gauge("relay_journal_events", "Events held in the journal.", registry=r)
        self._bytes = Gauge("relay_journal_bytes", "Bytes of the journal's pages in use.", registry=r)
        self._published = Counter("relay_published", "Events acknowledged by the sink.", ["sink", "topic"], registry=r)
        self._failures = Counter(
            "relay_publish_failures", "Batches whose publishing failed.", ["sink", "code"], registry=r
        )
        self._lag_events = Gauge("relay_publish_lag_events", "Events the sink has not got yet.", ["sink"], registry=r)
        self._lag_seconds = Gauge(
            "relay_publish_lag_seconds", "Age of the oldest event the sink has not got yet.", ["sink"], registry=r
        )
        self._ledger = Gauge(
            "relay_sink_events",
            "Events of the journal by where they are: published, pending, dead, or absorbed (another replica's).",
            ["sink", "state"],
            registry=r,
        )
        self._accepted = Gauge(
            "relay_sink_events_accepted",
            "Events accepted for the sink since the journal began: what relay_sink_events must add up to.",
            ["sink"],
            registry=r,
        )
        self._missing = Counter(
            "relay_sink_events_missing",
            "Events that the sink has lost and the journal does not hold any more: they are in no other count.",
            ["sink"],
            registry=r,
        )
        self._facts = Counter(
            "relay_shared_index_facts",
            "Events that replicas share, by how the index was asked: verified, unverified, absorbed, overrun.",
            ["sink", "result"],
            registry=r,
        )
        self._index_up = Gauge("relay_shared_index_up", "1 while the shared index answers.", ["sink"], registry=r)
        self._end_to_end = self.histogram(
            "relay_end_to_end_seconds", "From accepted to acknowledged by the sink.", SECONDS, "sink"
        )
        self._dead_held = Gauge("relay_dead_letters_held", "Dead letters waiting for somebody.", registry=r)
        self._dead_expired = Counter(
            "relay_dead_letters_expired",
            "Dead letters that nobody took care of: too old, or the journal too large.",
            ["cause"],
            registry=r,
        )
        self._dead = Counter("relay_dead_letters", "Dead letters made.", ["reason"], registry=r)
        self._sink_up = Gauge("relay_sink_up", "1 while the sink takes events.", ["sink"], registry=r)
        self._up = Gauge("relay_up", "1 while the relay accepts deliveries.", registry=r)
        self._reloaded = Gauge(
            "relay_config_last_reload_successful",
            "1 while the configuration as last read is in force, 0 while a later one is refused.",
            registry=r,
        )
        self._reloaded.set(1)
        self._late: Sequence[str] = ()
        self.health = Health(r)
        self.upstream = UpstreamSignals(r)
        self.tasks = TaskSignals(self)
        Gauge("relay_build_info", "Constant 1.", ["version"], registry=r).labels(__version__).set(1)

    def histogram(self, name: str, documentation: str, bounds: Sequence[float], label: str | None = None) -> Histogram:
        """A registered histogram; ``bounds`` are the upper ends of its buckets."""
        histogram = Histogram(name, documentation, bounds, label)
        self.registry.register(histogram)
        return histogram

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    # -- the edge ----------------------------------------------------------------------------------------------

    def deliveries(self, source: str) -> DeliverySignals:
        """The signals of one source, its label values looked up once."""
        counters = {
            result: self._deliveries.labels(source, result)
            for result in ("accepted", "duplicate", "dead", "ignored", "rejected")
        }
        return DeliverySignals(self, source, counters, self._ack.series(source))

    def request_failed(self, route: str, error: BaseException) -> None:
        """A bug or an unforeseen state behind a 500."""
        self.log.error("request failed", route=route, error=type(error).__name__, exc_info=error)

    def request_malformed(self, peer: str, kind: str) -> None:
        """Something that is not HTTP arrived; ``kind`` is the parser's class of error, its text would quote it."""
        if (unsaid := self._malformed.speak()) is not None:
            self.log.warning("request malformed", peer=peer, kind=kind, **unsaid)

    def task_failed(self, where: str, error: BaseException) -> None:
        """An exception that nobody awaited."""
        self.log.error("background failure", where=where, error=type(error).__name__, exc_info=error)

    # -- the journal -------------------------------------------------------------------------------------------

    def group_committed(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None:
        """One group is on disk: its ``drafts`` became these new ``entries``."""
        self._commit.observe(seconds)
        self._group.observe(drafts)
        if self.spans.on:
            self._trace_commit(entries, drafts, seconds)

    def _trace_commit(self, entries: Sequence[Entry], drafts: int, seconds: float) -> None:
        told = {"relay.journal.drafts": drafts, "relay.journal.events": len(entries)}
        began = time.time_ns() - round(seconds * 1e9)
        events = (entry.event for entry in entries)
        batch_span(self.spans, "journal commit", "internal", told, events, began).end()

    def journal_opened(self, path: str, journal_id: str, last_offset: int, sqlite: str) -> None:
        """The journal is open and recovered."""
        self.log.info("journal opened", path=path, journal_id=journal_id, last_offset=last_offset, sqlite=sqlite)

    def journal_pruned(self, events: int) -> None:
        """Old events that every sink has were deleted."""
        self.log.debug("journal pruned", events=events)

    def dead_letters_expired(self, count: int, cause: str) -> None:
        """Dead letters that nobody took care of are gone: by their ``age``, or for the journal's ``size``."""
        self._dead_expired.labels(cause).inc(count)
        self.log.warning("dead letters expired", count=count, cause=cause)

    def journal_broke(self, error: RelayError) -> None:
        """The journal cannot be trusted any more; the process is about to end."""
        self.log.critical("journal broke", code=error.code, error=error.message, hint=error.hint)

    def journal_ran_full(self, error: RelayError) -> None:
        """The disk has no room: nothing is taken until there is some again."""
        self.log.error("journal takes nothing", code=error.code, error=error.message, hint=error.hint)

    def journal_has_room(self) -> None:
        """The journal takes events again, by what a commit has just shown."""
        self.log.info("journal has room again")

    def journal_looked_at(self, figures: JournalFigures) -> None:
        """A scrape is being answered."""
        self._events.set(figures.events)
        self._bytes.set(figures.bytes)
        self._dead_held.set(figures.dead_letters)

    # -- the sinks ---------------------------------------------------------------------------------------------

    def claims(self, label: str) -> ClaimSignals:
        """The signals of one sink's claims in the shared index."""
        return ClaimSignals(self, label)

    def sink(self, label: str, system: str | None = None) -> SinkSignals:
        """The signals of one sink; ``system`` is what kind of sink it is, where the label is another word."""
        self._sink_up.labels(label).set(0)
        return SinkSignals(self, label, system or label)

    # -- the process -------------------------------------------------------------------------------------------

    def accepting(self, yes: bool) -> None:
        """Readiness changed."""
        self._up.set(1 if yes else 0)

    def warned(self, message: str) -> None:
        """Something in the configuration is worth a second look."""
        self.log.warning(message)

    def started(self, **facts: object) -> None:
        """Everything is up."""
        self.log.info("relay started", version=__version__, **facts)

    def reread(self, late: Sequence[str] = ()) -> None:
        """The configuration as written can be in force, but for files of secrets that did not answer."""
        self._reloaded.set(0 if late else 1)
        if late and late != self._late:
            self.log.error("files of secrets do not answer, what they held before stays in force", files=list(late))
        self._late = late

    def reloaded(self, changed: Sequence[str], waiting: Sequence[str]) -> None:
        """The configuration as read is in force, except for what waits for a restart. Keys only, no values."""
        self.log.info("configuration reloaded", changed=list(changed))
        if waiting:
            self.log.warning("changes wait for a restart", keys=list(waiting))

    def reload_refused(self, problems: str) -> None:
        """The changed configuration is not valid: the old one stays in force."""
        self._reloaded.set(0)
        self.log.error("configuration not reloaded, the one before stays in force", problems=problems)

    def draining(self, reason: str) -> None:
        """No new work is taken."""
        self.log.info("draining", reason=reason)

    def stopped(self) -> None:
        """Everything is down, in order."""
        self.log.info("relay stopped")

    def failed(self, error: RelayError) -> None:
        """The process ends because of this."""
        self.log.critical("relay failed", code=error.code, error=error.message, hint=error.hint)
