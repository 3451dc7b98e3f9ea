"""A relay is started on the journal that an earlier release has left, in front of a real sink."""

from __future__ import annotations

from typing import Any

import pytest

from relay.core.event import TOPICS
from tests.integration import consumers
from tests.integration.bridge import Bridge, redis_sink
from tests.integration.conftest import MakeBridge
from tests.services.redis import Redis
from tests.unit.journal.stored import FOLDER, NAMES, held_by, unpack

RELEASES = sorted(path.name for path in FOLDER.iterdir())


@pytest.fixture
def prefix(redis_server: Redis) -> str:
    return redis_server.prefix()


@pytest.fixture
async def updated(bridge: MakeBridge, redis_server: Redis, prefix: str, release: str) -> Bridge:
    """This release, on the journal that the other one had when it was killed; to a Redis that has lost everything."""
    # The journal is as old as that release, and nothing in it is too old to be kept.
    forever = {"journal": {"retention": "36500d", "dead_letter_retention": "36500d"}, "dedup": {"window": "36500d"}}
    others = {"identity": NAMES.identity, "tasks": {"progressed": True}, "reconcile": {"enabled": False}}
    relay = bridge(redis_sink(redis_server.url, prefix), **forever, **others)
    relay.directory.mkdir()
    unpack(release, "killed", relay.journal)
    await relay.start()
    return relay


def of_redis(held: dict[str, Any], topic: str) -> list[str]:
    """The ids of the events of a topic that are for this sink; the chat that was under way ends with the update."""
    ids = [each["id"] for each in held["events"] if each["topic"] == topic and each.get("sink", "redis") == "redis"]
    return [*ids, *(f"{chat['chat_id']}:failed" for chat in held["open_chats"] if topic == "chat")]


@pytest.mark.parametrize("release", RELEASES)
async def test_an_update_loses_and_repeats_nothing(
    updated: Bridge, redis_server: Redis, prefix: str, release: str
) -> None:
    """After an update consumers would miss events or see them twice, and dead letters would be gone."""
    held = held_by(release)
    await updated.until_published("redis")
    for topic in TOPICS:
        found = [message.id for message in await consumers.on_redis(redis_server, prefix + topic)]
        assert found == of_redis(held, topic)
    assert {each["id"] for each in await updated.dead_letters()} == {each["id"] for each in held["dead_letters"]}
    for delivery in held["deliveries"]:
        answer = await updated.deliver(delivery["body"].encode())
        assert (answer.status, answer.body["status"]) == (200, "duplicate"), answer
