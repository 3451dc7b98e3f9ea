from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import relay
from relay import __version__
from relay.telemetry.log import configure_logging
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.process import ProcessSignals
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.signals.tasks import TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import busy, families, values

CONTRACT = {
    "relay_deliveries": ("counter", {"source", "result"}),
    "relay_webhook_ack_seconds": ("histogram", {"source"}),
    "relay_journal_commit_seconds": ("histogram", set()),
    "relay_journal_commit_events": ("histogram", set()),
    "relay_journal_events": ("gauge", set()),
    "relay_journal_bytes": ("gauge", set()),
    "relay_published": ("counter", {"sink", "topic"}),
    "relay_publish_failures": ("counter", {"sink", "code"}),
    "relay_publish_lag_events": ("gauge", {"sink"}),
    "relay_publish_lag_seconds": ("gauge", {"sink"}),
    "relay_end_to_end_seconds": ("histogram", {"sink"}),
    "relay_dead_letters_held": ("gauge", set()),
    "relay_dead_letters": ("counter", {"reason"}),
    "relay_build_info": ("gauge", {"version"}),
    "relay_up": ("gauge", set()),
    "relay_sink_up": ("gauge", {"sink"}),
    "relay_tasks_pending": ("gauge", set()),
    "relay_tasks_overdue": ("gauge", set()),
    "relay_polls": ("counter", {"result"}),
    "relay_publish_lag_expiring_events": ("gauge", {"sink"}),
    "relay_upstream_up": ("gauge", set()),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_a_metric_has_the_name_the_type_and_the_labels_that_were_promised(name: str) -> None:
    """Dashboards and alerts that people built on it would go blank."""
    type_, labels = CONTRACT[name]
    family = families(busy())[name]
    assert family.type == type_
    assert family.documentation
    assert {label for sample in family.samples for label in sample.labels} - {"le"} == labels


def test_what_happened_is_counted_once() -> None:
    """The ledger of a relay would not add up (P5)."""
    telemetry = busy()
    results = ("accepted", "duplicate", "dead", "ignored", "rejected", "unavailable")
    assert values(telemetry, "relay_deliveries_total") == {(result, "novita"): 1 for result in results}
    assert values(telemetry, "relay_dead_letters_total") == {("unknown_status",): 1, ("too_large",): 1}
    assert values(telemetry, "relay_published_total") == {("kafka", "tasks"): 3, ("kafka", "chat"): 2}
    assert values(telemetry, "relay_publish_failures_total") == {("too_large", "kafka"): 1}
    assert values(telemetry, "relay_journal_events") == {(): 7}
    assert values(telemetry, "relay_dead_letters_held") == {(): 1}
    assert values(telemetry, "relay_sink_events") == {
        ("kafka", "published"): 5,
        ("kafka", "pending"): 2,
        ("kafka", "dead"): 1,
        ("kafka", "absorbed"): 3,
    }
    assert values(telemetry, "relay_sink_events_accepted") == {("kafka",): 11}
    assert values(telemetry, "relay_build_info") == {(__version__,): 1}


def test_results_are_there_before_they_happen() -> None:
    """A rate over a counter that appears with its first event misses that event."""
    telemetry = Telemetry()
    DeliverySignals(telemetry, "novita")
    assert set(values(telemetry, "relay_deliveries_total").values()) == {0}
    SinkSignals(telemetry, "kafka")
    assert values(telemetry, "relay_sink_up") == {("kafka",): 0}
    TaskSignals(telemetry, UpstreamSignals(telemetry))
    assert set(values(telemetry, "relay_polls_total").values()) == {0}


def test_a_metric_is_declared_in_one_place() -> None:
    """Two parts would move one figure, each with its own idea of what it means."""
    sources = Path(relay.__file__).parent.rglob("*.py")
    declared = re.compile(r'\.(?:counter|gauge|histogram)\(\s*"(relay_\w+)"')
    places = Counter(name for path in sources for name in declared.findall(path.read_text("utf-8")))
    assert len(places) > 30
    assert [name for name, count in places.items() if count > 1] == []


def test_the_rest_of_the_signals_are_lines(log: Log) -> None:
    """What an operator looks for after an incident would not be there."""
    configure_logging("debug", "json")
    telemetry = busy()
    JournalSignals(telemetry).journal_opened("/j", "id", 3, "3.53")
    process = ProcessSignals(telemetry)
    process.task_failed("callback", RuntimeError("x"))
    DeliverySignals(telemetry, "novita").normalizing_failed(RuntimeError("x"))
    process.stopped({})
    sink = SinkSignals(telemetry, "redis")
    sink.sink_rewound(9, 3)
    sink.sink_ahead(9, 3)
    sink.lineage_started("id")
    logged = {line["event"] for line in log.lines}
    assert logged >= {"journal opened", "background failure", "source failed", "relay stopped"}
    assert len([event for event in logged if "sink" in event]) >= 4
