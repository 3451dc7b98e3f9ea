"""The official SDK, ``cloudevents`` on PyPI, reads what is published: Kafka in both content modes, HTTP, and Redis.

It is called by the very expressions that ``docs/consumers.md`` shows.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings import http, kafka
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent

from relay.core.event import TOPICS
from tests.integration import consumers
from tests.integration.bridge import TOKEN, Bridge, kafka_sink
from tests.integration.conftest import MakeBridge, Pair
from tests.integration.deliveries import failed, new_task, succeeded
from tests.services.scripted_upstream import scripted
from tests.unit.edge.chat.chatting import DONE, PATH, frame, streaming

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

PAGE = Path(__file__).parents[2] / "docs" / "consumers.md"
SHOWN = {
    where: compile(code, PAGE.name, "eval")
    for code, where in re.findall(r"^event = (.*)  # (aiokafka|GET /v1/events|Redis)$", PAGE.read_text(), re.MULTILINE)
}
"""How the page makes an event of what it read, by where it was read."""
IMPORTED = {"kafka": kafka, "http": http, "CloudEvent": CloudEvent, "datetime": datetime, "json": json}

Json = dict[str, Any]


@pytest.fixture
async def published(bridge: MakeBridge, pair: Pair) -> tuple[Bridge, list[Json]]:
    """A relay that has put an event of each topic on Kafka, in both modes, and on Redis; and the events, as JSON."""
    conversation = streaming(frame("Hel"), frame("lo"), frame(None, "stop"), DONE)
    async with scripted(conversation) as upstream:
        relay = bridge(
            pair.kafka_sink(name="binary"),
            kafka_sink(pair.kafka, f"s-{pair.topic}", name="structured", content_mode="structured"),
            pair.redis_sink(),
            upstream={"base_url": upstream.url},
            proxy={"chunks": "each"},
        )
        await relay.start()
        task_id = new_task()
        traced = {"traceparent": TRACE}
        await relay.request("POST", f"/webhooks/novita/{TOKEN}", data=succeeded(task_id), headers=traced)
        for body in (failed(task_id), failed(new_task(), "Überlauf ✗"), b'{"task": "?"}'):
            assert (await relay.deliver(body)).status == 200
        said = {"model": "a/m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        assert (await relay.request("POST", PATH, json=said)).status == 200
        await relay.until_published()
    return relay, [each["event"] for each in await relay.events()]


def read_as(event: BaseCloudEvent, expected: Json, *extensions: tuple[str, Any]) -> None:
    """Fails unless the SDK's event has our attributes, these extensions, and our data, and nothing else."""
    ours = {name: value for name, value in expected.items() if name != "data"}
    ours["time"] = datetime.fromisoformat(ours["time"])
    assert event.get_attributes() == ours | dict(extensions)
    assert event.get_data() == expected["data"]


def by_id(found: list[Json]) -> dict[str, Json]:
    """The events by their ids; a stream's chunks have ids of their own, too."""
    named = {event["id"]: event for event in found}
    assert len(named) == len(found)
    return named


def as_shown(where: str, **read: Any) -> BaseCloudEvent:
    """The event that the page's expression makes of what was read."""
    event: BaseCloudEvent = eval(SHOWN[where], IMPORTED | read)
    return event


@dataclass(frozen=True)
class Fetched:
    """A record as aiokafka gives it."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


async def on_kafka(pair: Pair, prefix: str) -> list[Fetched]:
    """The records of all topics."""
    found = [record for topic in TOPICS for record in await consumers.python_kafka(pair.kafka, prefix + topic)]
    return [
        Fetched(record.key, record.value, [(name, (value or "").encode()) for name, value in record.headers.items()])
        for record in found
    ]


async def test_every_topic_has_an_event(published: tuple[Bridge, list[Json]]) -> None:
    """What follows would not be said of all of them."""
    _, events = published
    types = {event["type"] for event in events}
    assert types == {
        *("relay.task.succeeded", "relay.task.conflicted", "relay.task.failed", "relay.delivery.dead"),
        *("relay.chat.started", "relay.chat.chunk", "relay.chat.completed"),
    }
    assert [event["type"] for event in events if event.get("traceparent")] == ["relay.task.succeeded"]


@pytest.mark.parametrize("mode", ["binary", "structured"])
async def test_it_reads_kafka(published: tuple[Bridge, list[Json]], pair: Pair, mode: str) -> None:
    """A consumer with the SDK would see other events than we published, or none."""
    _, events = published
    expected = by_id(events)
    for record in await on_kafka(pair, pair.topic if mode == "binary" else f"s-{pair.topic}"):
        assert any(name.startswith("ce_") for name, _ in record.headers) == (mode == "binary")
        event = as_shown("aiokafka", record=record)
        read_as(event, expected.pop(event.get_id()), ("partitionkey", event.get_subject()))
    assert expected == {}


async def test_it_reads_http(published: tuple[Bridge, list[Json]]) -> None:
    """A consumer without a broker could not hand our events to its SDK, from a page or from a live stream."""
    relay, events = published
    expected = by_id(events)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{relay.url}/v1/events?limit=1000") as response:
            page = json.loads(await response.read())
        live = session.get(f"{relay.url}/v1/events?after=0", headers={"Accept": "text/event-stream"})
        async with asyncio.timeout(10), live as response:
            lines = [line async for line in _until(response, len(events))]
    assert len(page["events"]) == len(lines) == len(events)
    from_page = [as_shown("GET /v1/events", each=each) for each in page["events"]]
    for event in (*from_page, *(http.from_structured_event(http.HTTPMessage({}, line)) for line in lines)):
        read_as(event, expected[event.get_id()])


async def _until(response: aiohttp.ClientResponse, count: int) -> Any:
    """The ``data`` of this many events of a live stream."""
    async for line in response.content:
        if line.startswith(b"data: "):
            yield line.removeprefix(b"data: ").strip()
            count -= 1
            if count == 0:
                return


async def test_it_takes_the_fields_of_redis(published: tuple[Bridge, list[Json]], pair: Pair) -> None:
    """The mapping in the consumers' page, one field per attribute, would make no CloudEvent."""
    _, events = published
    expected = by_id(events)
    for message in [each for topic in TOPICS for each in await pair.on_redis(topic)]:
        event = as_shown("Redis", attributes=message.attributes, data=message.data)
        read_as(event, expected.pop(event.get_id()))
    assert expected == {}


async def test_it_refuses_what_is_no_event(published: tuple[Bridge, list[Json]], pair: Pair) -> None:
    """The tests above would pass whatever is published."""
    binary, *_ = await on_kafka(pair, pair.topic)
    structured, *_ = await on_kafka(pair, f"s-{pair.topic}")
    without = [(name, value) for name, value in binary.headers if name != "ce_type"]
    with pytest.raises(CloudEventValidationError, match="type"):
        as_shown("aiokafka", record=replace(binary, headers=without))
    document = {name: value for name, value in json.loads(structured.value or b"").items() if name != "source"}
    with pytest.raises(CloudEventValidationError, match="source"):
        as_shown("aiokafka", record=replace(structured, value=json.dumps(document).encode()))
