"""Metrics and events of whole relays, as a collector receives them, with the simulated upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.integration.bridge import Bridge
from tests.integration.conftest import MakeBridge
from tests.services.collector import Collector, collector

UPSTREAM_KEY, CLIENT_KEY = "sk-upstream-0123456789abcdef", "web-key-0123456789abcdef0123"
MODEL, PROMPT = "deepseek/deepseek-v3.1", "tell nobody about the purple kite"
PROXY = {"clients": {"web": {"key": CLIENT_KEY}}, "capture": {"content": True, "request": "full"}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans and events are sent without delay."""
    for name in ("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY"):
        monkeypatch.setenv(name, "50")


@pytest.fixture
async def collecting() -> AsyncIterator[Collector]:
    async with collector() as running:
        yield running


async def chat(relay: Bridge) -> None:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": PROMPT}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
    answer = await relay.request("POST", "/openai/v1/chat/completions", json=body, headers=headers)
    assert answer.status == 200, answer


def bridged(bridge: MakeBridge, upstream: Simulator, collecting: Collector, **otlp: Any) -> Bridge:
    return bridge(
        proxy=PROXY,
        upstream={"base_url": upstream.url, "api_key": UPSTREAM_KEY},
        tracing={"enabled": True, "endpoint": collecting.url},
        telemetry={"otlp": {"endpoint": collecting.url, **otlp}},
    )


async def test_both_ways_out_have_the_same_figures(bridge: MakeBridge, collecting: Collector) -> None:
    """Who reads relay's metrics over OTLP would see another relay than who scrapes it."""
    async with Simulator(Options(api_keys=(UPSTREAM_KEY,))) as upstream:
        relay = bridged(bridge, upstream, collecting, metrics=True, interval="1s")
        await relay.start()
        for _ in range(3):
            await chat(relay)
        await collecting.until(lambda: sum(each.value for each in collecting.metrics.get("relay_chats", ())) == 3)
        scraped = (await relay.request("GET", "/metrics", admin=True)).body
        await relay.stop()
    families = {family.name: family for family in text_string_to_metric_families(scraped)}
    ours = {name for name, family in families.items() if name.startswith("relay_") and family.samples}
    assert ours <= collecting.metrics.keys()
    tokens = {
        (sample.labels["kind"], sample.labels["client"], sample.labels["model"]): sample.value
        for sample in families["relay_chat_tokens"].samples
        if sample.value
    }
    assert {
        (point.attributes["kind"], point.attributes["client"], point.attributes["model"]): point.value
        for point in collecting.metrics["relay_chat_tokens"]
        if point.value
    } == tokens
    [spent] = collecting.metrics["gen_ai.client.inference.usage.output_tokens"]
    assert spent.value == tokens["output", "web", MODEL]
    [duration] = collecting.metrics["gen_ai.client.inference.duration"]
    assert duration.value[0] == 3
    assert not collecting.events


@pytest.mark.parametrize("content", [False, True])
async def test_the_event_of_a_chat_is_in_its_trace(bridge: MakeBridge, collecting: Collector, content: bool) -> None:
    """The details of a chat could not be found from its span; or what was said would leave the relay unasked."""
    async with Simulator(Options(api_keys=(UPSTREAM_KEY,))) as upstream:
        relay = bridged(bridge, upstream, collecting, events=True, content=content)
        await relay.start()
        await chat(relay)
        span = await collecting.one(f"chat {MODEL}")
        await collecting.until(lambda: bool(collecting.events))
        await relay.stop()
    [event] = collecting.events
    assert (event.trace, event.span) == span.place
    same = ("gen_ai.request.model", "gen_ai.response.id", "gen_ai.usage.output_tokens", "relay.chat.id")
    assert [event.attributes[name] for name in same] == [span.attributes[name] for name in same]
    exported = b"".join(collecting.bodies)
    assert (PROMPT.encode() in exported) == content
    assert not [key for key in (UPSTREAM_KEY, CLIENT_KEY) if key.encode() in exported]
