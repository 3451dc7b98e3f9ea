"""The metrics as Prometheus reads them."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.process import ProcessSignals
from relay.telemetry.signals.sinks import SinkFigures, SinkSignals
from relay.telemetry.signals.tasks import TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry


def families(telemetry: Telemetry) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(telemetry.metrics.exposition().decode())}


def values(telemetry: Telemetry, sample: str) -> dict[tuple[str, ...], float]:
    """The samples of one name, by their label values in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(found.labels.items())): found.value
        for family in families(telemetry).values()
        for found in family.samples
        if found.name == sample
    }


def busy() -> Telemetry:
    """A telemetry on which everything has happened once."""
    telemetry = Telemetry()
    delivery = DeliverySignals(telemetry, "novita")
    for result in ("accepted", "duplicate", "dead", "ignored"):
        delivery.delivery_answered(result, 0.004)
    delivery.delivery_rejected("unauthorized", 401, "192.0.2.1")
    delivery.delivery_rejected("backlog_full", 503, "192.0.2.1")
    delivery.delivery_buried("unknown_status", "dead-1")
    journal = JournalSignals(telemetry)
    journal.group_committed((), 5, 0.002)
    journal.journal_looked_at(events=7, bytes=4096, dead_letters=1)
    sink = SinkSignals(telemetry, "kafka")
    sink.sink_opened(0, 5)
    sink.batch_published({"tasks": 3, "chat": 2}, [0.01, 0.02, 0.03, 0.04, 9999.0])
    sink.event_buried("too_large", "a:succeeded", "1 MB")
    sink.sink_looked_at(SinkFigures(accepted=11, published=5, pending=2, dead=1, absorbed=3, lag_seconds=1.5))
    tasks = TaskSignals(telemetry, UpstreamSignals(telemetry))
    tasks.polled("succeeded")
    tasks.upstream_answered()
    tasks.tasks_looked_at(pending=4, overdue=2)
    tasks.outputs_looked_at("kafka", 3)
    ProcessSignals(telemetry).accepting(True)
    return telemetry
