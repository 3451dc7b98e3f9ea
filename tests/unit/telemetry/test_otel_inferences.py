"""Metrics and events of chats as a real collector receives them."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from relay.settings.model import OtlpSettings
from relay.telemetry.metrics import Metrics
from relay.telemetry.otel_inferences import OtelInferences
from tests.services.collector import collector
from tests.services.ports import free_port
from tests.unit.telemetry.test_gen_ai import ended

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def settings(url: str, **keys: Any) -> OtlpSettings:
    return OtlpSettings.model_validate({"endpoint": url, **keys})


async def test_the_collector_gets_the_conventions_metrics_and_relays_own() -> None:
    """Views of models would stay empty, or everything else that relay counts would be for Prometheus only."""
    metrics = Metrics()
    metrics.counter("relay_chats", "Chats.").inc(2)
    async with collector() as collecting:
        inferences = OtelInferences(settings(collecting.url, metrics=True), "a", metrics)
        for _ in range(2):
            inferences.ended("a/m", ended(outcome="failed", reason="truncated"), None)
        await inferences.close(10.0)
    found = collecting.metrics
    assert [point.value for point in found["relay_chats"]] == [2]
    who = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "novita",
        "gen_ai.request.model": "a/m",
        "gen_ai.response.model": "a/m-0825",
    }
    [duration] = found["gen_ai.client.inference.duration"]
    assert (duration.unit, duration.attributes) == ("s", who | {"error.type": "truncated"})
    assert duration.value[:2] == (2, 1.8)
    assert (duration.value[2][0], duration.value[2][-1], len(duration.value[2])) == (0.01, 81.92, 14)
    [first] = found["gen_ai.client.inference.time_to_first_chunk"]
    assert (first.attributes, first.value[:2]) == (who, (2, 0.024))
    tokens = {name: points for name, points in found.items() if "usage" in name}
    assert {name.partition("usage.")[2]: point.value for name, [point] in tokens.items()} == {
        "input_tokens": 10,
        "output_tokens": 14,
        "cache_read.input_tokens": 6,
        "reasoning.output_tokens": 4,
    }
    assert tokens["gen_ai.client.inference.usage.input_tokens"][0].attributes == who | {
        "gen_ai.token.modality": "unknown"
    }
    assert not collecting.events


async def test_metrics_are_sent_again_and_again_after_every_gauge_is_up_to_date() -> None:
    """A view would show the figures of the start, or those of the last scrape by somebody else."""
    metrics, gauge = Metrics(), 0

    async def refresh() -> None:
        nonlocal gauge
        gauge += 1
        metrics.gauge("relay_up", "Up.").set(gauge)

    async with collector() as collecting:
        inferences = OtelInferences(settings(collecting.url, metrics=True, interval="1s"), "a", metrics)
        inferences._every = 0.01
        sending = asyncio.create_task(inferences.run(refresh))
        await collecting.until(lambda: collecting.reports >= 3)
        sending.cancel()
        await asyncio.wait((sending,))
        assert collecting.metrics["relay_up"][0].value >= 3


@pytest.mark.parametrize("content", [False, True])
async def test_an_event_is_in_its_spans_trace_and_has_content_if_asked(content: bool) -> None:
    """Nobody would find the details of a slow chat from its trace; or conversations would leave the relay unasked."""
    async with collector() as collecting:
        inferences = OtelInferences(settings(collecting.url, events=True, content=content), "a", Metrics())
        inferences.ended("a/m", ended(), f"00-{TRACE}-{SPAN}-01")
        inferences.ended("a/m", ended(), None)
        await inferences.close(10.0)
    assert [event.name for event in collecting.events] == ["gen_ai.client.inference.operation.details"] * 2
    assert [(event.trace, event.span) for event in collecting.events] == [(TRACE, SPAN), ("", "")]
    assert any(b"the answer" in body for body in collecting.bodies) == content
    assert any(b"the prompt" in body for body in collecting.bodies) == content
    assert collecting.metrics == {}


async def test_a_collector_that_is_away_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator would look in vain for metrics and events, and for the reason."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    away = settings(f"http://127.0.0.1:{free_port()}", metrics=True, events=True)
    inferences = OtelInferences(away, "a", Metrics())
    inferences.ended("a/m", ended(), None)
    with capture_logs() as lines:
        await inferences.close(30.0)
    assert {line["event"] for line in lines} == {"metrics not exported", "events not exported"}


@pytest.mark.parametrize("kinds", [{"metrics": True}, {"events": True}, {"metrics": True, "events": True}])
async def test_nothing_is_tried_again_once_the_time_to_close_is_over(
    monkeypatch: pytest.MonkeyPatch, kinds: dict[str, bool]
) -> None:
    """Threads would outlive the relay that they belong to, and go on knocking at a collector that is away."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    before = set(threading.enumerate())
    inferences = OtelInferences(settings(f"http://127.0.0.1:{free_port()}", **kinds), "a", Metrics())
    inferences.ended("a/m", ended(), None)
    await inferences.close(0.2)
    async with asyncio.timeout(5):
        while set(threading.enumerate()) - before:
            await asyncio.sleep(0.02)


async def test_a_collector_that_hangs_keeps_nobody() -> None:
    """The relay would be as slow to stop as a part that is only there for looking at it."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        inferences = OtelInferences(settings(url, metrics=True, events=True), "a", Metrics())
        inferences.ended("a/m", ended(), None)
        async with asyncio.timeout(9):  # the SDK would try for 10 s
            await inferences.close(0.2)
