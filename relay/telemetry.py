"""Signals: past-tense calls that write the log line and move the metric, once, in one place.

Metric names and labels are contract. No label takes unbounded values: no task ids, URLs or tokens.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from structlog.typing import EventDict

from relay import __version__
from relay.core.errors import RelayError
from relay.core.redact import scrub_text

LogFormat = Literal["auto", "console", "json"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_GROUP_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series beside each counter, which no dashboard reads

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NOISY = ("aiokafka", "aiohttp", "asyncio", "redis")


class Histogram(Collector):
    """A histogram with at most one label that takes many observations at once.

    ``prometheus_client`` takes a lock and walks the buckets for each single observation; at thousands of events a
    second that is a measurable part of what an event costs. Used from the event loop only, so it needs no lock.
    """

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], label: str | None = None) -> None:
        self._name, self._documentation, self._bounds, self._label = name, documentation, bounds, label
        self._series: dict[str, _Series] = {}

    def series(self, value: str = "") -> _Series:
        """The series of one label value; keep it, so that observing is one call."""
        return self._series.setdefault(value, _Series(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The scrape's view: cumulative buckets."""
        labels = [self._label] if self._label else []
        family = HistogramMetricFamily(self._name, self._documentation, labels=labels)
        for value, series in self._series.items():
            family.add_metric([value] if self._label else [], series.cumulative(), series.total)
        yield family

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Names only, without touching the series."""
        return [HistogramMetricFamily(self._name, self._documentation)]


class _Series:
    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        seen = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            seen += count
            buckets.append((bound, float(seen)))
        return buckets


class Sparing:
    """Lets a few lines of a kind through per second, so that whoever sends rubbish does not fill the disk with logs."""

    __slots__ = ("_clock", "_lines", "_said", "_unsaid", "_until")

    def __init__(self, lines: int = 5, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines, self._clock = lines, clock
        self._until = 0.0
        self._said = self._unsaid = 0

    def speak(self) -> dict[str, int] | None:
        """``None``: be silent. Else what to say with the line: how many were not said before it, if any."""
        now = self._clock()
        if now >= self._until:
            self._until, self._said = now + 1.0, 0
        if self._said >= self._lines:
            self._unsaid += 1
            return None
        self._said += 1
        unsaid, self._unsaid = self._unsaid, 0
        return {"alike_not_logged": unsaid} if unsaid else {}


@dataclass(frozen=True, slots=True)
class JournalFigures:
    """What the journal's gauges show at a scrape."""

    events: int
    bytes: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class SinkFigures:
    """What one sink's gauges show at a scrape; ``lag_seconds`` is the age of its oldest unpublished event."""

    pending: int
    lag_seconds: float
    published: int
    dead: int


class Telemetry:
    """The process's metrics and its log. One instance, handed to the parts that signal."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.log = structlog.get_logger("relay")
        self._malformed = Sparing()
        r = self.registry
        self._deliveries = Counter(
            "relay_deliveries", "Deliveries answered, by how they ended.", ["source", "result"], registry=r
        )
        self._ack = self._histogram(
            "relay_webhook_ack_seconds", "From the request's head to its answer.", _SECONDS, "source"
        )
        self._commit = self._histogram(
            "relay_journal_commit_seconds", "Group commits, the fsync included.", _SECONDS
        ).series()
        self._group = self._histogram(
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
            "Events of the journal by where they are: accepted = published + pending + dead.",
            ["sink", "state"],
            registry=r,
        )
        self._end_to_end = self._histogram(
            "relay_end_to_end_seconds", "From accepted to acknowledged by the sink.", _SECONDS, "sink"
        )
        self._dead_held = Gauge("relay_dead_letters_held", "Dead letters waiting for somebody.", registry=r)
        self._dead = Counter("relay_dead_letters", "Dead letters made.", ["reason"], registry=r)
        self._sink_up = Gauge("relay_sink_up", "1 while the sink takes events.", ["sink"], registry=r)
        self._up = Gauge("relay_up", "1 while the relay accepts deliveries.", registry=r)
        Gauge("relay_build_info", "Constant 1.", ["version"], registry=r).labels(__version__).set(1)

    def _histogram(self, name: str, documentation: str, bounds: Sequence[float], label: str | None = None) -> Histogram:
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

    def group_committed(self, drafts: int, seconds: float) -> None:
        """One group is on disk."""
        self._commit.observe(seconds)
        self._group.observe(drafts)

    def journal_opened(self, path: str, journal_id: str, last_offset: int, sqlite: str) -> None:
        """The journal is open and recovered."""
        self.log.info("journal opened", path=path, journal_id=journal_id, last_offset=last_offset, sqlite=sqlite)

    def journal_pruned(self, events: int) -> None:
        """Old events that every sink has were deleted."""
        self.log.debug("journal pruned", events=events)

    def journal_broke(self, error: RelayError) -> None:
        """The journal cannot be trusted any more; the process is about to end."""
        self.log.critical("journal broke", code=error.code, error=error.message, hint=error.hint)

    def journal_looked_at(self, figures: JournalFigures) -> None:
        """A scrape is being answered."""
        self._events.set(figures.events)
        self._bytes.set(figures.bytes)
        self._dead_held.set(figures.dead_letters)

    # -- the sinks ---------------------------------------------------------------------------------------------

    def sink(self, label: str) -> SinkSignals:
        """The signals of one sink."""
        self._sink_up.labels(label).set(0)
        return SinkSignals(self, label)

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

    def draining(self, reason: str) -> None:
        """No new work is taken."""
        self.log.info("draining", reason=reason)

    def stopped(self) -> None:
        """Everything is down, in order."""
        self.log.info("relay stopped")

    def failed(self, error: RelayError) -> None:
        """The process ends because of this."""
        self.log.critical("relay failed", code=error.code, error=error.message, hint=error.hint)


class DeliverySignals:
    """Signals about the deliveries of one source."""

    def __init__(self, telemetry: Telemetry, source: str, counters: dict[str, Counter], ack: _Series) -> None:
        self._telemetry, self._source = telemetry, source
        self._count: dict[str, Callable[[], None]] = {result: counter.inc for result, counter in counters.items()}
        self._ack = ack
        self._sparing: dict[str, Sparing] = {}

    def delivery_answered(self, result: str, seconds: float) -> None:
        """A delivery got its 2xx: accepted, duplicate, dead or ignored."""
        self._count[result]()
        self._ack.observe(seconds)

    def delivery_buried(self, reason: str, dead_letter_id: str) -> None:
        """A delivery could not be normalized and is kept as a dead letter."""
        self._telemetry._dead.labels(reason).inc()
        self._telemetry.log.warning(
            "delivery became a dead letter", source=self._source, reason=reason, dead_letter=dead_letter_id
        )

    def delivery_rejected(self, code: str, status: int, peer: str) -> None:
        """A delivery was refused; the sender knows. Of many alike, not each is logged."""
        self._count["rejected"]()
        if (unsaid := self._sparing.setdefault(code, Sparing()).speak()) is not None:
            self._telemetry.log.warning(
                "delivery rejected", source=self._source, code=code, status=status, peer=peer, **unsaid
            )

    def normalizing_failed(self, error: BaseException) -> None:
        """A bug in a source; the delivery becomes a dead letter."""
        self._telemetry.log.error("source failed", source=self._source, error=type(error).__name__, exc_info=error)


class SinkSignals:
    """Signals about one sink."""

    def __init__(self, telemetry: Telemetry, label: str) -> None:
        self._telemetry, self._label = telemetry, label
        self._up = telemetry._sink_up.labels(label)
        self._log = telemetry.log.bind(sink=label)
        self._latency = telemetry._end_to_end.series(label)
        self._topics: dict[str, Counter] = {}
        self._down: str | None = None

    def sink_opened(self, offset: int, pending: int) -> None:
        """Connected; publishing goes on after ``offset``."""
        self._up.set(1)
        self._log.info("sink opened", after_offset=offset, pending=pending)
        self._down = None

    def sink_lost(self, error: RelayError, retry_in: float) -> None:
        """Unavailable. Logged once per cause, not once per attempt."""
        self._up.set(0)
        self._telemetry._failures.labels(self._label, error.code).inc()
        log = self._log.debug if self._down == error.code else self._log.warning
        log("sink unavailable", code=error.code, error=error.message, hint=error.hint, retry_in=round(retry_in, 3))
        self._down = error.code

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
        self._log.error("sink lost events that the journal does not retain any more", events=count)

    def lineage_started(self, journal_id: str) -> None:
        """The sink's checkpoint belongs to another journal (a new or lost volume): this one starts from its start."""
        self._log.warning("sink knows another journal, starting a new lineage", journal_id=journal_id)

    def batch_published(self, topics: dict[str, int], latencies: Iterable[float]) -> None:
        """A batch is on the sink for good."""
        for topic, count in topics.items():
            counter = self._topics.get(topic)
            if counter is None:
                counter = self._topics[topic] = self._telemetry._published.labels(self._label, topic)
            counter.inc(count)
        for seconds in latencies:
            self._latency.observe(seconds)

    def event_buried(self, code: str, event_id: str, detail: str) -> None:
        """The sink refused an event for good; it is a dead letter now."""
        self._telemetry._failures.labels(self._label, code).inc()
        self._telemetry._dead.labels(code).inc()
        self._log.warning("event became a dead letter", code=code, event_id=event_id, detail=detail)

    def sink_looked_at(self, figures: SinkFigures) -> None:
        """A scrape is being answered."""
        telemetry, label = self._telemetry, self._label
        telemetry._lag_events.labels(label).set(figures.pending)
        telemetry._lag_seconds.labels(label).set(figures.lag_seconds)
        telemetry._ledger.labels(label, "published").set(figures.published)
        telemetry._ledger.labels(label, "pending").set(figures.pending)
        telemetry._ledger.labels(label, "dead").set(figures.dead)


def configure_logging(level: str, format: LogFormat) -> None:
    """Sends all logs to standard error: for people on a terminal, one JSON object per line otherwise."""
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(_dumps)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _tell_exception,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    for name in _NOISY:
        # Vendor clients log tracebacks and request lines; what matters of it comes out as our own signals.
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _tell_exception(_: object, __: str, event: EventDict) -> EventDict:
    """The traceback as text without secrets. Never with local variables, as structlog has it: bodies, tokens."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event["exception"] = scrub_text("".join(traceback.format_exception(error)).rstrip())
    return event


def _dumps(value: object, **_: object) -> str:
    return orjson.dumps(value, default=str).decode()
