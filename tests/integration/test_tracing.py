"""Traces through whole relays, with real sinks, the simulated upstream and a collector that shows what it received."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.integration.bridge import TOKEN, Bridge
from tests.integration.conftest import MakeBridge, Pair
from tests.integration.deliveries import new_task, succeeded
from tests.services.collector import Collector, collector
from tests.services.ports import free_port
from tests.services.relay import RelayProcess

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
THEIRS = f"00-{TRACE}-{CALLER}-01"

UPSTREAM_KEY, CLIENT_KEY = "sk-upstream-0123456789abcdef", "web-key-0123456789abcdef0123"
PROMPT = "tell nobody about the purple kite"
GUARDED = {"clients": {"web": {"key": CLIENT_KEY}}, "capture": {"content": True, "request": "full"}}
SIGNATURE = "5ec2e7516"
SECRETS = (TOKEN, UPSTREAM_KEY, CLIENT_KEY, PROMPT, "purple", SIGNATURE)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are sent without delay."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


@pytest.fixture
async def collecting() -> AsyncIterator[Collector]:
    async with collector() as running:
        yield running


def tracing(collecting: Collector) -> dict[str, Any]:
    return {"enabled": True, "endpoint": collecting.url}


async def deliver(bridge: Bridge, task_id: str, *traceparents: str) -> None:
    headers = [("traceparent", each) for each in traceparents]
    body = succeeded(task_id, signature=SIGNATURE)
    answer = await bridge.request("POST", f"/webhooks/novita/{TOKEN}", data=body, headers=headers)
    assert (answer.status, answer.body["status"]) == (200, "accepted")


async def traces(pair: Pair) -> dict[str, list[str | None]]:
    """The ``traceparent`` of each task event, as kcat and aiokafka, redis-cli and redis-py see it."""
    seen = {"kafka": await pair.on_kafka(), "redis": await pair.on_redis()}
    return {sink: [message.attributes.get("traceparent") for message in found] for sink, found in seen.items()}


def named(traceparent: str | None) -> tuple[str, str]:
    """The trace and the span that a ``traceparent`` names."""
    assert traceparent is not None
    _, trace, span, _ = traceparent.split("-")
    return trace, span


async def test_without_tracing_a_senders_trace_reaches_the_consumers_as_it_came(bridge: MakeBridge, pair: Pair) -> None:
    """A trace would break off at the relay, or an event carry what is no trace."""
    relay = bridge(*pair.sinks())
    await relay.start()
    await deliver(relay, new_task(), THEIRS)
    await deliver(relay, new_task(), THEIRS.upper())
    await deliver(relay, new_task(), THEIRS, THEIRS)
    await deliver(relay, new_task())
    await relay.until_published()
    expected = [THEIRS, None, None, None]
    found = await traces(pair)
    assert found["redis"] == expected
    assert sorted(map(str, found["kafka"])) == sorted(map(str, expected))  # by partition, not by time


async def test_a_webhook_is_followed_from_its_sender_to_both_sinks(
    bridge: MakeBridge, pair: Pair, collecting: Collector
) -> None:
    """Nobody could see where the time of a slow delivery went, or which batch an event went out with."""
    relay = bridge(*pair.sinks(), tracing=tracing(collecting))
    await relay.start()
    await relay.until_up("kafka")
    task_id = new_task()
    await deliver(relay, task_id, THEIRS)
    await relay.until_published()
    webhook = await collecting.one("webhook novita")
    commit = await collecting.one("journal commit")
    publishes = [await collecting.one(f"publish {sink}") for sink in ("kafka", "redis")]

    assert (webhook.kind, webhook.trace, webhook.parent) == ("server", TRACE, CALLER)
    assert webhook.attributes["http.route"] == "/webhooks/novita/{token}"
    assert webhook.attributes["relay.delivery.result"] == "accepted"
    assert webhook.attributes["cloudevents.event_subject"] == task_id
    for below in (commit, *publishes):
        assert (below.trace, below.parent, below.links) == (TRACE, webhook.id, (webhook.place,))
    assert webhook.start <= commit.start <= commit.end <= webhook.end
    assert [span.attributes["messaging.system"] for span in publishes] == ["kafka", "redis"]
    assert [span.attributes["messaging.batch.message_count"] for span in publishes] == [1, 1]
    found = await traces(pair)
    assert {named(each) for sink in found.values() for each in sink} == {webhook.place}
    await clean(relay, collecting)


async def test_what_is_published_together_is_linked_to_each_of_its_traces(
    bridge: MakeBridge, pair: Pair, collecting: Collector
) -> None:
    """Only the first event of a batch would have its publishing in its trace."""
    relay = bridge(tracing=tracing(collecting))
    await relay.start()
    await asyncio.gather(*(deliver(relay, new_task()) for _ in range(20)))
    await collecting.until(lambda: len(collecting.named("webhook novita")) == 20)
    await relay.stop()
    relay.sinks = [pair.redis_sink()]
    await relay.start()
    await relay.until_published()
    publish = await collecting.one("publish redis")
    webhooks = collecting.named("webhook novita")
    assert sorted(publish.links) == sorted(webhook.place for webhook in webhooks)
    assert publish.parent in {webhook.id for webhook in webhooks}
    assert publish.attributes["messaging.batch.message_count"] == 20
    await clean(relay, collecting)


async def test_a_chats_span_follows_the_conventions_and_its_upstream_and_events_hang_below_it(
    bridge: MakeBridge, pair: Pair, collecting: Collector
) -> None:
    """Tools for models would show nothing, the upstream's part stand alone, or a prompt stand in a trace."""
    async with Simulator(Options(api_keys=(UPSTREAM_KEY,))) as upstream:
        relay = bridge(
            pair.redis_sink(),
            tracing=tracing(collecting),
            proxy=GUARDED,
            upstream={"base_url": upstream.url, "api_key": UPSTREAM_KEY},
        )
        await relay.start()
        await chat(relay)
        await relay.until_published()
        span = await collecting.one("chat deepseek/deepseek-v3.1")
        [exchange] = list(upstream.exchanges)
        events = await pair.on_redis("chat")
        answer = orjson.loads(events[-1].data)["choices"][0]["content"]
        assert PROMPT.encode() in events[-1].data, "the test would not see it if it leaked"
        await clean(relay, collecting, *answer.split()[:20])
    assert (span.kind, span.trace, span.parent, span.failed) == ("client", TRACE, CALLER, False)
    attributes = span.attributes
    assert (
        attributes.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "novita",
            "gen_ai.request.model": "deepseek/deepseek-v3.1",
            "gen_ai.response.model": "deepseek/deepseek-v3.1",
            "gen_ai.request.stream": True,
            "gen_ai.response.finish_reasons": ["stop"],
            "relay.chat.outcome": "completed",
            "relay.client": "web",
        }.items()
    )
    assert attributes["gen_ai.usage.input_tokens"] > 0
    assert attributes["gen_ai.usage.output_tokens"] > 0
    assert 0 < attributes["relay.chat.time_to_first_token"] < (span.end - span.start) / 1e9 + 0.01
    assert named(exchange.headers["traceparent"]) == span.place
    assert [event.attributes["type"] for event in events] == ["relay.chat.started", "relay.chat.completed"]
    assert {named(event.attributes["traceparent"]) for event in events} == {span.place}
    assert all(publish.links == (span.place,) for publish in collecting.named("publish redis"))


async def chat(relay: Bridge) -> None:
    body = {
        "model": "deepseek/deepseek-v3.1",
        "messages": [{"role": "user", "content": PROMPT}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"Authorization": f"Bearer {CLIENT_KEY}", "traceparent": THEIRS}
    answer = await relay.request("POST", "/openai/v1/chat/completions", json=body, headers=headers)
    assert answer.status == 200, answer
    assert "[DONE]" in answer.body


async def test_a_chat_that_fails_has_a_failed_span(bridge: MakeBridge, collecting: Collector) -> None:
    """Failures would have to be looked for among all traces."""
    relay = bridge(tracing=tracing(collecting), upstream={"base_url": f"http://127.0.0.1:{free_port()}"})
    await relay.start()
    body = {"model": "a/m", "messages": []}
    answer = await relay.request("POST", "/openai/v1/chat/completions", json=body)
    assert answer.status == 502
    span = await collecting.one("chat a/m")
    assert (span.failed, span.attributes["error.type"]) == (True, "upstream_unreachable")
    assert span.attributes["relay.chat.outcome"] == "failed"


async def test_a_task_is_followed_from_its_submission_and_its_poll_has_a_trace_of_its_own(
    bridge: MakeBridge, pair: Pair, collecting: Collector
) -> None:
    """A task that polling ended could not be followed, neither to the poll nor to the consumer."""
    async with Simulator(Options(queue_seconds=0.1, run_seconds=0.2, api_keys=(UPSTREAM_KEY,))) as upstream:
        relay = bridge(
            pair.redis_sink(),
            tracing=tracing(collecting),
            proxy=GUARDED,
            upstream={"base_url": upstream.url, "api_key": UPSTREAM_KEY},
            reconcile={"first_after": "200ms", "every": "100ms", "max_rate": 50},
        )
        await relay.start()
        body = {"request": {"prompt": PROMPT, "model_name": "m", "width": 512, "height": 512, "image_num": 1}}
        headers = {"Authorization": f"Bearer {CLIENT_KEY}", "traceparent": THEIRS}
        answer = await relay.request("POST", "/v3/async/txt2img", json=body, headers=headers)
        assert answer.status == 200, answer
        poll = await collecting.one("poll task", lambda span: span.attributes["relay.poll.result"] == "succeeded")
        await relay.until_published()
        await clean(relay, collecting)
    submit = await collecting.one("submit task")
    assert (submit.kind, submit.trace, submit.parent) == ("client", TRACE, CALLER)
    task_id = answer.body["task_id"]
    assert submit.attributes["relay.task.id"] == poll.attributes["relay.task.id"] == task_id
    assert (poll.kind, poll.parent) == ("client", "")
    places = {event.attributes["type"]: named(event.attributes["traceparent"]) for event in await pair.on_redis()}
    assert places == {"relay.task.submitted": submit.place, "relay.task.succeeded": poll.place}


async def clean(relay: Bridge, collecting: Collector, *said: str) -> None:
    """Stops the relay, then asserts that no span contains a secret, a prompt or an answer."""
    await relay.stop()
    exported = b"".join(collecting.bodies)
    assert [each for each in SECRETS if each.encode() in exported] == []
    words = {word for span in collecting.spans for value in span.attributes.values() for word in str(value).split()}
    assert not words & set(said)
    assert {name for span in collecting.spans for name in span.attributes} <= KNOWN


KNOWN = {
    "cloudevents.event_id",
    "cloudevents.event_source",
    "cloudevents.event_subject",
    "error.type",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.request.stream",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "messaging.batch.message_count",
    "messaging.destination.name",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.system",
    "relay.chat.chunks",
    "relay.chat.outcome",
    "relay.chat.time_to_first_token",
    "relay.client",
    "relay.delivery.result",
    "relay.journal.drafts",
    "relay.journal.events",
    "relay.poll.result",
    "relay.sink",
    "relay.chat.id",
    "relay.chat.api",
    "relay.task.id",
}
"""Read this list before adding an attribute: no address, no header, nothing that was said."""


@pytest.mark.parametrize("listens", [False, True])
async def test_a_collector_that_is_away_or_hangs_delays_nothing(bridge: MakeBridge, listens: bool) -> None:
    """The relay would be as slow, or as hard to stop, as a part that is only there for looking at it."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # connections get through to it, and hear nothing
        port = hanging.getsockname()[1] if listens else free_port()
        relay = bridge(tracing={"enabled": True, "endpoint": f"http://127.0.0.1:{port}"})
        await relay.start()
        async with asyncio.timeout(60):  # an export is given up after 10 s: were each waited for, half an hour
            for _ in range(200):
                await deliver(relay, new_task(), THEIRS)
        async with asyncio.timeout(60):
            await relay.stop()


WITHOUT_THE_EXTRA = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
"""
"""Run at the start of each Python by ``site``: an installation without the extra."""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started find no OpenTelemetry."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_THE_EXTRA)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))


def test_tracing_without_the_extra_is_a_configuration_error_that_says_what_to_install(
    bare: None, tmp_path: Path
) -> None:
    """The relay would start without traces, or end with a traceback."""
    config = tmp_path / "relay.yaml"
    config.write_text("tracing: {enabled: true}")
    for command in (["check"], ["serve"]):
        command = [sys.executable, "-m", "relay", *command, "--config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 78, done
        assert "tracing.enabled" in done.stderr
        assert "pip install 'relay-bridge[otel]'" in done.stderr
        assert "Traceback" not in done.stderr


async def test_a_relay_without_the_extra_hands_traces_on(bare: None, tmp_path: Path) -> None:
    """The base installation would need OpenTelemetry, or lose what it has only to pass on."""
    relay = RelayProcess(tmp_path)
    try:
        await relay.start()
        with _opened(relay.webhook_url, succeeded(new_task())) as answer:
            assert answer.status == 200
        with _opened(f"{relay.url}/v1/events") as answer:
            assert f'"traceparent":"{THEIRS}"' in answer.read().decode()
    finally:
        relay.kill()


def _opened(url: str, body: bytes | None = None) -> Any:
    import urllib.request

    return urllib.request.urlopen(urllib.request.Request(url, body, {"traceparent": THEIRS}), timeout=10)


NOT_IMPORTED = """
import asyncio, sys, tempfile, urllib.request
from pathlib import Path
from tests.services.in_process import PATH, running, task

async def main():
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as relay:
            request = urllib.request.Request(relay.url + PATH, task("t1"), {"traceparent": "%s"})
            await asyncio.to_thread(urllib.request.urlopen, request)
    # redis-py imports OpenTelemetry's metrics by itself wherever it finds them: those say nothing.
    traced = ("relay.telemetry.otel", "opentelemetry.sdk.trace", "opentelemetry.exporter", "google", "requests")
    print([name for name in sys.modules if name.startswith(traced)])

asyncio.run(main())
"""


def test_opentelemetry_is_not_even_imported_while_tracing_is_off() -> None:
    """Everybody would pay with memory and start-up time for what is off."""
    command = [sys.executable, "-c", NOT_IMPORTED % THEIRS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done
