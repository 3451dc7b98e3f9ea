"""Spans on their way to a collector, with OpenTelemetry's SDK as it is."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from relay.core.errors import RelayError
from relay.core.event import Entry
from relay.core.trace import is_sampled, traceparent_of
from relay.telemetry.log import configure_logging
from relay.telemetry.otel import OtelSpans
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from tests.services.collector import Collector, collector
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.test_spans import event

THEIRS = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are sent without delay, and given up soon."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")


async def test_a_span_has_its_place_its_times_and_its_attributes() -> None:
    """A trace could not be read: spans without parents, at the wrong time, or empty."""
    async with collector() as collecting:
        spans = OtelSpans("r0", endpoint=collecting.url)
        began = time.time_ns() - 1_000_000
        links = [THEIRS, THEIRS.replace("b", "c"), "00-aa-bb-01"]
        span = spans.begin("n", "producer", {"a": 1, "b": None}, parent=THEIRS, links=links, at=began)
        span.note({"c": ["x"], "d": None})
        span.end()
        exported = await collecting.one("n")
        await spans.close(5.0)
    assert (exported.kind, exported.trace, exported.parent, exported.failed) == ("producer", "a" * 32, "b" * 16, False)
    assert exported.links == (("a" * 32, "b" * 16), ("a" * 32, "c" * 16))
    assert exported.attributes == {"a": 1, "c": ["x"]}
    assert exported.start == began < exported.end
    assert span.traceparent == f"00-{exported.trace}-{exported.id}-01" == traceparent_of([span.traceparent])


async def test_an_error_marks_the_span_that_it_left_and_is_not_quoted() -> None:
    """A failure could not be found, or its message take a secret to the collector."""
    async with collector() as collecting:
        spans = OtelSpans("r0", endpoint=collecting.url)
        with pytest.raises(RelayError), spans.begin("n", "client", {}):
            raise RelayError("sink_down", "s3cret")
        exported = await collecting.one("n")
        await spans.close(5.0)
    assert (exported.failed, exported.parent, exported.attributes) == (True, "", {"error.type": "sink_down"})
    assert b"s3cret" not in b"".join(collecting.bodies)


async def test_a_relay_can_be_told_apart_and_the_variables_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """All replicas would look like one, or the name that an operator gave be ignored."""
    async with collector() as collecting:
        await _one_span(collecting)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "bridge")
        await _one_span(collecting)
    first, second = (span.resource for span in collecting.spans)
    assert (first["service.name"], first["service.instance.id"]) == ("relay", "r0")
    assert (second["service.name"], second["service.instance.id"]) == ("bridge", "r0")


async def _one_span(collecting: Collector) -> None:
    spans = OtelSpans("r0", endpoint=collecting.url)
    spans.begin("n", "client", {}).end()
    await spans.close(5.0)


@pytest.mark.parametrize(("flags", "ratio", "recorded"), [("01", 0.0, True), ("00", 1.0, False), (None, 0.0, False)])
async def test_a_trace_is_recorded_as_its_beginning_is(flags: str | None, ratio: float, recorded: bool) -> None:
    """Traces would have holes, or be recorded against the setting."""
    parent = f"{THEIRS[:-2]}{flags}" if flags else None
    async with collector() as collecting:
        spans = OtelSpans("r0", endpoint=collecting.url, sample_ratio=ratio)
        span = spans.begin("n", "client", {}, parent=parent)
        span.end()
        await spans.close(5.0)
    assert bool(collecting.spans) is recorded
    assert span.traceparent is not None
    assert is_sampled(span.traceparent) is recorded


async def test_the_sdk_switched_off_hands_on_what_senders_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """``OTEL_SDK_DISABLED`` would cut every trace at the relay, or give events an invalid trace."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    spans = OtelSpans("r0", endpoint="http://127.0.0.1:9")
    assert spans.begin("n", "client", {}, parent=THEIRS).traceparent == THEIRS
    assert spans.begin("n", "client", {}).traceparent is None
    await spans.close(1.0)


async def test_a_collector_that_is_away_costs_spans_and_one_line(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """The relay would wait for its collector, or fill its log with the SDK's complaints, or be silent about it."""
    configure_logging("info", "json")
    spans = OtelSpans("r0", endpoint="http://127.0.0.1:9")
    for _ in range(5000):
        spans.begin("n", "client", {}).end()  # if each were waited for, all would last longer than a test may
    async with asyncio.timeout(60):
        while "spans not exported" not in log.text:
            await asyncio.sleep(0.05)
        await spans.close(0.5)
    assert {line["event"] for line in log.lines} == {"spans not exported"}
    assert [record.name for record in caplog.records] == []


async def test_nothing_is_tried_again_once_the_time_to_close_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads would outlive the relay that they belong to, and go on knocking at a collector that is away."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    before = set(threading.enumerate())
    spans = OtelSpans("r0", endpoint="http://127.0.0.1:9")
    spans.begin("n", "client", {}).end()
    await spans.close(0.1)
    async with asyncio.timeout(5):
        while set(threading.enumerate()) - before:
            await asyncio.sleep(0.02)


async def test_a_group_of_the_journal_has_its_span() -> None:
    """The time that the disk takes would be missing in every trace."""
    async with collector() as collecting:
        telemetry = Telemetry()
        telemetry.spans = OtelSpans("r0", endpoint=collecting.url)
        JournalSignals(telemetry).group_committed([Entry(1, 0, event(THEIRS))], 2, 0.25)
        exported = await collecting.one("journal commit")
        await telemetry.spans.close(5.0)
    assert (exported.trace, exported.parent) == ("a" * 32, "b" * 16)
    assert exported.attributes == {"relay.journal.drafts": 2, "relay.journal.events": 1}
    assert 0.2e9 < exported.end - exported.start < 1e9
