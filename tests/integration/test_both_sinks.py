"""Every sample payload through a running relay, onto Kafka and Redis at once, read back by five consumers.

The expectations are the files ``tests/samples/novita_task/*.expected.json``. They were written for one instant of
receipt and share a task id, so ids are made distinct here, and what depends on the receipt is moved with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import io
import json
import re
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay.core.clock import parse_rfc3339, rfc3339
from tests.integration import consumers
from tests.integration.bridge import TOKEN, Answer, Bridge, States, kafka_sink, redis_sink
from tests.integration.consumers import Message
from tests.services.kafka import Kafka
from tests.services.redis import Redis

SAMPLES = Path(__file__).parents[1] / "samples" / "novita_task"
RECEIVED_AT = 1_700_000_005_000
"""The receipt that the expectations were written for."""
SETTINGS: tuple[dict[str, bool], ...] = ({}, {"progressed": True}, {"raw": False})
TOPICS = ("tasks", "dead-letters", "chat")
SECRETS = ("t0k3n", TOKEN, "kite")
"""What the samples hold of receivers' addresses and of prompts."""

_TASK_ID = re.compile(rb"00000000-0000-4000-8000-[0-9a-f]{12}")
_ECHO = orjson.dumps(
    {
        "event_type": "SOMETHING_NEW",
        "payload": {
            "extra": {
                "webhook": {"url": f"https://relay.example/webhooks/novita/{TOKEN}"},
                "debug_info": {"request_info": '{"prompts":["kite"]}'},
            },
            "message": f"POST https://relay.example/webhooks/novita/{TOKEN}?k=v failed",
        },
    }
)
"""Unreadable, and full of what must not be published."""


@dataclass(frozen=True)
class Sample:
    """A payload with a task id of its own, the settings it needs, and what must become of it."""

    name: str
    body: bytes
    settings: dict[str, bool]
    expected: dict[str, Any]

    @property
    def outcome(self) -> str:
        return next(iter(self.expected))


def sample(name: str) -> Sample:
    """A sample as a webhook would deliver it."""
    task_id = str(uuid.uuid5(uuid.NAMESPACE_OID, name)).encode()
    expected = orjson.loads(_TASK_ID.sub(task_id, (SAMPLES / f"{name}.expected.json").read_bytes()))
    given = expected.pop("given", {})
    if given.pop("via", "webhook") != "webhook" and "event" in expected:
        expected["event"]["data"]["observed_via"] = "webhook"
    return Sample(name, _TASK_ID.sub(task_id, (SAMPLES / f"{name}.json").read_bytes()), given, expected)


# A webhook with this status is an expectation of its own, status-canceled; only a poll's is ignored.
ONLY_POLLED = {"status-canceled-by-poll"}
NAMES = {path.stem for path in SAMPLES.glob("*.json") if not path.name.endswith(".expected.json")} - ONLY_POLLED
ALL = [sample(name) for name in sorted(NAMES)]
EVENTS = [each for each in ALL if each.outcome == "event"]
UNREADABLE = [each for each in ALL if each.outcome == "unreadable"]


@dataclass(frozen=True)
class Seen:
    """What the consumers of Kafka, of Redis and of the relay's own API saw of one topic."""

    kafka: list[Message]
    redis: list[Message]
    http: list[Message]

    def all(self) -> list[Message]:
        return [*self.kafka, *self.redis, *self.http]


@dataclass
class Outcome:
    """Everything there is to see after all samples went through one relay."""

    started: int
    answers: dict[str, Answer] = field(default_factory=dict)
    topics: dict[str, Seen] = field(default_factory=dict)
    letters: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, States] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    log: str = ""


@pytest.fixture(scope="module")
def outcome(kafka: Kafka, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """All samples posted once, and whatever came of it."""
    return asyncio.run(_run(kafka, redis_server, tmp_path_factory.mktemp("samples")))


async def _run(kafka: Kafka, server: Redis, directory: Path) -> Outcome:
    """One journal and one pair of sinks through the three configurations, one after the other."""
    topic, key = kafka.topic_prefix(), server.prefix()
    bridge = Bridge(directory, kafka_sink(kafka, topic), redis_sink(server.url, key))
    outcome = Outcome(started=_now())
    with contextlib.redirect_stdout(io.StringIO()) as log:
        for settings in SETTINGS:
            bridge.sections["tasks"] = settings
            await bridge.start()
            try:
                await _post(bridge, settings, outcome)
            finally:
                await bridge.stop()
    outcome.log = log.getvalue()
    for name in TOPICS:
        seen = outcome.topics[name]
        seen.kafka.extend(await consumers.on_kafka(kafka, topic + name))
        seen.redis.extend(await consumers.on_redis(server, key + name))
    return outcome


async def _post(bridge: Bridge, settings: dict[str, bool], outcome: Outcome) -> None:
    for each in ALL:
        if each.settings == settings:
            outcome.answers[each.name] = await bridge.deliver(each.body)
    if not settings:
        outcome.answers["echo"] = await bridge.deliver(_ECHO)
    await bridge.until_published()
    for result in ("accepted", "dead", "ignored", "duplicate", "rejected"):
        outcome.counted[result] += int(await bridge.metric("relay_deliveries_total", source="novita", result=result))
    outcome.letters = await bridge.dead_letters()
    outcome.states = {label: await bridge.states(label) for label in ("kafka", "redis")}
    for topic in TOPICS:
        outcome.topics[topic] = Seen([], [], [of_json(e["event"]) for e in await bridge.events(topic=topic)])


def of_json(event: dict[str, Any]) -> Message:
    """An event in structured JSON."""
    return Message({name: value for name, value in event.items() if name != "data"}, orjson.dumps(event["data"]))


def _now() -> int:
    return time.time_ns() // 1_000_000


def as_received(expected: dict[str, Any], received_at: str) -> dict[str, Any]:
    """The expected event, moved from the receipt it was written for to the one that happened."""
    event = copy.deepcopy(expected)
    data, moved = event["data"], parse_rfc3339(received_at) - RECEIVED_AT
    data["received_at"] = received_at
    if data["timings"]["finished_at"] is None:
        event["time"] = received_at
    for output in data["outputs"]:
        ttl, expires_at = output["ttl_seconds"], output["expires_at"]
        if ttl is not None and expires_at == rfc3339(RECEIVED_AT + int(ttl * 1000)):
            output["expires_at"] = rfc3339(parse_rfc3339(expires_at) + moved)
    return event


def test_the_samples_are_what_this_test_takes_them_for() -> None:
    """Samples could be missed, or posted under settings that nobody asked for."""
    assert len(EVENTS) > 35
    assert len(UNREADABLE) > 10
    assert all(each.settings in SETTINGS for each in ALL)
    assert {each.outcome for each in ALL} == {"event", "unreadable", "ignored"}
    assert len({each.body for each in ALL}) == len(ALL)


@pytest.mark.parametrize("wanted", EVENTS, ids=lambda each: each.name)
def test_a_sample_is_published_once_everywhere(wanted: Sample, outcome: Outcome) -> None:
    """Consumers of one sink would miss an event, see it twice, or read other attributes or data than documented."""
    answer = outcome.answers[wanted.name]
    event = wanted.expected["event"]
    assert (answer.status, answer.body) == (200, {"status": "accepted", "event_id": event["id"]})
    seen = outcome.topics["tasks"]
    for consumer, messages in (("kafka", seen.kafka), ("redis", seen.redis), ("http", seen.http)):
        found = [message for message in messages if message.id == event["id"]]
        assert len(found) == 1, consumer
        data = orjson.loads(found[0].data)
        assert outcome.started <= parse_rfc3339(data["received_at"]) <= _now()
        # All attributes and no other: one without a value is absent.
        assert {**found[0].attributes, "data": data} == as_received(event, data["received_at"]), consumer


@pytest.mark.parametrize("wanted", UNREADABLE, ids=lambda each: each.name)
def test_an_unreadable_sample_is_a_dead_letter_everywhere(wanted: Sample, outcome: Outcome) -> None:
    """A delivery that cannot be read would get its 2xx and vanish."""
    answer = outcome.answers[wanted.name]
    assert (answer.status, answer.body["status"]) == (200, "dead")
    letter_id = answer.body["event_id"]
    seen = outcome.topics["dead-letters"]
    for messages in (seen.kafka, seen.redis, seen.http):
        (found,) = [message for message in messages if message.id == letter_id]
        data = orjson.loads(found.data)
        assert found.attributes["type"] == "relay.delivery.dead"
        assert found.attributes["dataschema"] == "urn:relay:schema:dead-letter:1"
        assert (data["dead_letter_id"], data["reason"]) == (letter_id, wanted.expected["unreadable"])
        assert (data["origin"], data["event"], data["raw_truncated"]) == ("novita", None, False)
        assert data["raw_bytes"] == len(wanted.body)
    (listed,) = [letter for letter in outcome.letters if letter["id"] == letter_id]
    assert (listed["reason"], listed["raw_bytes"]) == (wanted.expected["unreadable"], len(wanted.body))


def test_an_ignored_sample_is_nowhere(outcome: Outcome) -> None:
    """A report of progress would be published although nobody asked for it."""
    (ignored,) = [each for each in ALL if each.outcome == "ignored"]
    answer = outcome.answers[ignored.name]
    assert (answer.status, answer.body) == (200, {"status": "ignored"})
    task_id = orjson.loads(ignored.body)["task"]["task_id"].encode()
    assert not any(task_id in message.data for seen in outcome.topics.values() for message in seen.all())


def test_nothing_else_is_published_and_the_order_is_one(outcome: Outcome) -> None:
    """A sink would hold events that nobody accepted, or another order than the journal's."""
    tasks, dead, chat = (outcome.topics[name] for name in TOPICS)
    assert Counter(m.id for m in tasks.http) == Counter(each.expected["event"]["id"] for each in EVENTS)
    assert len(dead.http) == len(UNREADABLE) + 1
    assert chat.all() == []
    for seen in (tasks, dead):
        assert [m.id for m in seen.redis] == [m.id for m in seen.http]
        assert sorted(m.id for m in seen.kafka) == sorted(m.id for m in seen.http)
        # Byte for byte: a consumer may compare what it has from one sink with the other.
        assert {m.id: m.data for m in seen.kafka} == {m.id: m.data for m in seen.redis}


def test_no_secret_is_published_listed_or_logged(outcome: Outcome) -> None:
    """I8 broken: a webhook's token or a prompt would reach everyone who reads a topic or a log."""
    assert outcome.answers["echo"].body["status"] == "dead"
    published = [
        json.dumps(message.attributes) + message.data.decode() for s in outcome.topics.values() for message in s.all()
    ]
    shown = [*published, json.dumps(outcome.letters), outcome.log, *(repr(a.body) for a in outcome.answers.values())]
    for secret in SECRETS:
        assert secret in b"".join([_ECHO, *(each.body for each in ALL)]).decode(), "the samples do not hold it"
        assert not [text for text in shown if secret in text]
    assert "delivery became a dead letter" in outcome.log


def test_nothing_is_unaccounted_for(outcome: Outcome) -> None:
    """P5 broken: the metrics would hide a loss, or show one where there is none."""
    expected = {"accepted": len(EVENTS), "dead": len(UNREADABLE) + 1, "ignored": 1, "duplicate": 0, "rejected": 0}
    assert outcome.counted == expected
    balance = States(published=len(EVENTS) + len(UNREADABLE) + 1, pending=0, dead=0)
    assert outcome.states == {"kafka": balance, "redis": balance}
