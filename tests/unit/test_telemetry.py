"""The metrics as Prometheus reads them, and the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from relay import __version__
from relay.core.errors import RelayError
from relay.telemetry import Histogram, JournalFigures, SinkFigures, Sparing, Telemetry, configure_logging


def families(telemetry: Telemetry) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(telemetry.exposition().decode())}


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
    delivery = telemetry.deliveries("novita")
    for result in ("accepted", "duplicate", "dead", "ignored"):
        delivery.delivery_answered(result, 0.004)
    delivery.delivery_rejected("unauthorized", 401, "192.0.2.1")
    delivery.delivery_buried("unknown_status", "dead-1")
    telemetry.group_committed(5, 0.002)
    telemetry.journal_looked_at(JournalFigures(events=7, bytes=4096, dead_letters=1))
    sink = telemetry.sink("kafka")
    sink.sink_opened(0, 5)
    sink.batch_published({"tasks": 3, "chat": 2}, [0.01, 0.02, 0.03, 0.04, 9999.0])
    sink.event_buried("too_large", "a:succeeded", "1 MB")
    sink.sink_looked_at(SinkFigures(pending=2, lag_seconds=1.5, published=5, dead=1))
    telemetry.accepting(True)
    return telemetry


SECRET = "t0k3n-0123456789"
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
    results = ("accepted", "duplicate", "dead", "ignored", "rejected")
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
    }
    assert values(telemetry, "relay_build_info") == {(__version__,): 1}


def test_results_are_there_before_they_happen() -> None:
    """A rate over a counter that appears with its first event misses that event."""
    telemetry = Telemetry()
    telemetry.deliveries("novita")
    assert set(values(telemetry, "relay_deliveries_total").values()) == {0}
    telemetry.sink("kafka")
    assert values(telemetry, "relay_sink_up") == {("kafka",): 0}


def test_a_histogram_counts_each_value_into_its_bucket() -> None:
    """Percentiles would be wrong, above all at the borders and beyond the last one."""
    histogram = Histogram("x_seconds", "x", (1.0, 2.0), "kind")
    for value in (0.5, 1.0, 1.5, 2.0, 99.0):
        histogram.series("a").observe(value)
    histogram.series("b")
    [family] = histogram.collect()
    assert [(s.labels.get("le"), s.value) for s in family.samples if s.labels["kind"] == "a"] == [
        ("1.0", 2.0),
        ("2.0", 4.0),
        ("+Inf", 5.0),
        (None, 5.0),
        (None, 104.0),
    ]
    assert histogram.series("a") is histogram.series("a")


def test_a_sinks_state_follows_its_connection() -> None:
    """An alert on a sink would not fire, or never end."""
    telemetry = Telemetry()
    sink = telemetry.sink("kafka")
    sink.sink_opened(0, 0)
    assert values(telemetry, "relay_sink_up") == {("kafka",): 1}
    sink.sink_lost(RelayError("timeout", "m"), 1.0)
    assert values(telemetry, "relay_sink_up") == {("kafka",): 0}
    assert values(telemetry, "relay_publish_failures_total") == {("timeout", "kafka"): 1}


# -- the log ---------------------------------------------------------------------------------------------------------


class Log:
    """What was written to standard error so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text

    @property
    def lines(self) -> list[Any]:
        return [orjson.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """The log; what a test configures is taken back."""
    levels = {name: logging.getLogger(name).level for name in ("aiokafka", "aiohttp", "asyncio", "redis")}
    config = structlog.get_config()
    yield Log(capsys)
    structlog.configure(**config)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_each_line_is_one_json_object(log: Log) -> None:
    """A collector of logs would not understand it."""
    configure_logging("info", "auto")
    telemetry = Telemetry()
    telemetry.started(url="http://127.0.0.1:1", sinks=["kafka"])
    telemetry.journal_pruned(5)
    [line] = log.lines
    assert (line["event"], line["level"], line["version"]) == ("relay started", "info", __version__)
    assert line["timestamp"].endswith("Z")


def test_the_level_decides_what_is_written(log: Log) -> None:
    """Debug lines would fill the disk, or warnings stay unseen."""
    configure_logging("warning", "json")
    telemetry = Telemetry()
    telemetry.draining("signal")
    telemetry.warned("look here")
    assert [line["event"] for line in log.lines] == ["look here"]


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_holds_no_secret(log: Log, format: Any) -> None:
    """Local variables and the messages of exceptions hold bodies, tokens and presigned addresses (P8)."""
    configure_logging("info", format)
    telemetry = Telemetry()

    def fails(token: str) -> None:
        raise ValueError(f"at https://x.example/file.png?X-Amz-Signature={token} and /webhooks/novita/{token}")

    try:
        fails(SECRET)
    except ValueError as error:
        telemetry.request_failed("POST", error)
    text = log.text
    assert "ValueError" in text
    assert "in fails" in text, "where it happened"
    assert SECRET not in text
    assert text.count("\n") == 1 or format == "console"


def test_a_flood_of_refusals_is_logged_sparingly(log: Log) -> None:
    """Whoever sends rubbish could fill the disk with our own lines."""
    configure_logging("info", "json")
    telemetry = Telemetry()
    delivery = telemetry.deliveries("novita")
    for _ in range(1000):
        delivery.delivery_rejected("unauthorized", 401, "192.0.2.1")
        telemetry.request_malformed("192.0.2.1", "BadStatusLine")
    delivery.delivery_rejected("not_json", 400, "192.0.2.1")
    told = [line["event"] for line in log.lines]
    assert told.count("request malformed") < 20
    assert told.count("delivery rejected") < 20
    assert log.lines[-1]["code"] == "not_json", "another reason is told at once"
    assert values(telemetry, "relay_deliveries_total")[("rejected", "novita")] == 1001


def test_what_was_not_said_is_counted_in_the_next_line() -> None:
    """The log would make a flood look like a trickle."""
    now = 100.0
    sparing = Sparing(lines=2, clock=lambda: now)
    assert [sparing.speak() for _ in range(5)] == [{}, {}, None, None, None]
    now = 101.5
    assert [sparing.speak() for _ in range(3)] == [{"alike_not_logged": 3}, {}, None]


def test_a_sink_that_stays_down_is_told_once(log: Log) -> None:
    """Each attempt would be a line for as long as an outage lasts."""
    configure_logging("info", "json")
    sink = Telemetry().sink("kafka")
    for code in ("timeout", "timeout", "refused", "refused"):
        sink.sink_lost(RelayError(code, "m", hint="h"), 0.5)
    sink.sink_opened(0, 0)
    sink.sink_lost(RelayError("refused", "m", hint="h"), 0.5)
    assert [(line["event"], line.get("code")) for line in log.lines] == [
        ("sink unavailable", "timeout"),
        ("sink unavailable", "refused"),
        ("sink opened", None),
        ("sink unavailable", "refused"),
    ]


def test_an_error_says_what_to_do(log: Log) -> None:
    """The operator would know that it ended, not what to do."""
    configure_logging("info", "json")
    telemetry = Telemetry()
    error = RelayError("journal_broken", "It broke.", hint="Mend it.")
    telemetry.failed(error)
    telemetry.journal_broke(error)
    for line in log.lines:
        assert (line["level"], line["code"], line["error"], line["hint"]) == (
            "critical",
            "journal_broken",
            "It broke.",
            "Mend it.",
        )


def test_the_rest_of_the_signals_are_lines(log: Log) -> None:
    """What an operator looks for after an incident would not be there."""
    configure_logging("debug", "json")
    telemetry = busy()
    telemetry.journal_opened("/j", "id", 3, "3.53")
    telemetry.task_failed("callback", RuntimeError("x"))
    telemetry.deliveries("novita").normalizing_failed(RuntimeError("x"))
    telemetry.stopped()
    sink = telemetry.sink("redis")
    sink.sink_rewound(9, 3)
    sink.sink_ahead(9, 3)
    sink.lineage_started("id")
    told = {line["event"] for line in log.lines}
    assert told >= {"journal opened", "background failure", "source failed", "relay stopped"}
    assert len([event for event in told if "sink" in event]) >= 4


def test_vendors_do_not_write_into_the_log(log: Log) -> None:
    """aiohttp logs request lines, and with them tokens."""
    configure_logging("debug", "json")
    for name in ("aiohttp.server", "aiohttp.access", "asyncio", "aiokafka.producer", "redis"):
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)
