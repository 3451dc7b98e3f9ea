"""What ``/v1/subjects`` and ``/v1/status`` say of real sinks, compared with what is on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration import consumers
from tests.integration.bridge import Bridge, redis_sink
from tests.integration.conftest import MakeBridge, Pair
from tests.integration.deliveries import new_task, succeeded
from tests.integration.test_chat import hang, under_way, until_recorded
from tests.integration.test_refused_events import KIB, MIB, configure
from tests.services.redis import RedisProcess
from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import scripted

Relays = Callable[..., RelayProcess]


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[Relays]:
    """Makes relays in processes of their own, not yet started, and leaves none behind."""
    made: list[RelayProcess] = []

    def make(**sections: Any) -> RelayProcess:
        made.append(RelayProcess(tmp_path / f"relay-{len(made)}", **sections))
        return made[-1]

    yield make
    for relay in made:
        relay.kill()


async def ask(relay: Bridge | RelayProcess, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(relay.url + path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def timeline(relay: Bridge | RelayProcess, subject: str) -> Any:
    return await ask(relay, f"/v1/subjects/{subject}")


async def deliver(relay: RelayProcess, *bodies: bytes) -> list[str]:
    """The answer that the sender gets for each."""
    async with aiohttp.ClientSession() as session:
        answers = [await (await session.post(relay.webhook_url, data=body)).json() for body in bodies]
    return [answer["status"] for answer in answers]


def states(shown: Any) -> list[tuple[int, str, str]]:
    return [(each["offset"], each["sink"], each["state"]) for each in shown["publications"]]


def times(shown: Any) -> list[str | None]:
    return [each["published_at"] for each in shown["publications"]]


async def test_the_timeline_of_a_task_says_where_it_is(pair: Pair, bridge: MakeBridge) -> None:
    """The relay would show an operator an event on a sink where it is not, or miss one that is there."""
    relay = bridge(*pair.sinks())
    await relay.start()
    task_id = new_task()
    first, contradiction = succeeded(task_id), succeeded(task_id, outputs=["1.png"])
    await relay.accept(first)
    for _ in range(3):
        assert (await relay.deliver(first)).body["status"] == "duplicate"
    await relay.accept(contradiction)
    assert (await relay.deliver(contradiction)).body["status"] == "duplicate"
    await relay.until_published()
    shown = await timeline(relay, task_id)
    ids = [entry["event"]["id"] for entry in shown["events"]]
    assert [m.id for m in await pair.on_redis()] == ids
    assert [m.id for m in await pair.on_kafka()] == ids
    assert states(shown) == [(n, sink, "published") for n in (1, 2) for sink in ("kafka", "redis")]
    received = [entry["event"]["data"]["received_at"] for entry in shown["events"] for _ in "12"]
    now = (await ask(relay, "/v1/status"))["now"]
    assert all(at is not None and got <= at <= now for at, got in zip(times(shown), received, strict=True))
    assert [(each["offset"], each["count"], each["observed_via"]) for each in shown["duplicates"]] == [
        (1, 3, {"webhook": 3}),
        (2, 1, {"webhook": 1}),
    ]
    assert all(each["first_at"] <= each["last_at"] <= now for each in shown["duplicates"])
    await relay.restart()
    await relay.until_published()
    assert await timeline(relay, task_id) == shown


async def test_after_a_kill_no_time_is_invented(pair: Pair, relays: Relays) -> None:
    """After a crash the relay would report times and repetitions that never were, or forget where an event is."""
    relay = relays(sinks=[pair.redis_sink()])
    await relay.start()
    task_id = new_task()
    body = succeeded(task_id)
    assert await deliver(relay, body, body, body) == ["accepted", "duplicate", "duplicate"]
    await relay.until_drained()
    before = await timeline(relay, task_id)
    assert states(before) == [(1, "redis", "published")]
    relay.kill()
    await relay.start()
    await relay.until_drained()
    after = await timeline(relay, task_id)
    assert after["events"] == before["events"]
    assert states(after) == states(before)
    assert times(after)[0] in (times(before)[0], None)
    assert sum(each["count"] for each in after["duplicates"]) <= 2


async def test_what_redis_lost_is_shown_with_the_time_at_which_it_came_again(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess
) -> None:
    """After a failover events would be dated from before they were lost."""
    server = redis_process()
    await server.start()
    relay = bridge(redis_sink(server.url, pair.key))
    await relay.start()
    task_id, later = new_task(), new_task()
    await relay.accept(succeeded(task_id))
    await relay.until_published()
    [first] = times(await timeline(relay, task_id))
    await asyncio.to_thread(server.cli, "FLUSHALL")
    await relay.accept(succeeded(later))
    async with asyncio.timeout(20):
        while len(await consumers.redis_cli(server.redis, pair.key + "tasks")) < 2:
            await asyncio.sleep(0.05)
    await relay.until_published()
    [again], [other] = times(await timeline(relay, task_id)), times(await timeline(relay, later))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first < again <= other


async def test_a_refused_event_is_shown_as_dead_where_it_is(pair: Pair, bridge: MakeBridge) -> None:
    """An operator would look for an event on Kafka that never got there, or not find the letter about it."""
    await configure(pair, 20 * KIB, create=True)
    relay = bridge(*pair.sinks())
    await relay.start()
    task_id = new_task()
    await relay.accept(succeeded(task_id, filler=30 * KIB))
    await relay.until_published()
    shown = await timeline(relay, task_id)
    assert [entry["event"]["type"] for entry in shown["events"]] == ["relay.task.succeeded", "relay.delivery.dead"]
    assert states(shown) == [
        (1, "kafka", "dead"),
        (1, "redis", "published"),
        (2, "kafka", "published"),
        (2, "redis", "published"),
    ]
    [letter] = shown["dead_letters"]
    assert (letter["origin"], letter["reason"], letter["event_offset"]) == ("kafka", "record_too_large", 1)
    status = await ask(relay, "/v1/status")
    kafka = status["sinks"][0]
    assert (kafka["label"], kafka["type"], kafka["up"], kafka["dead"], kafka["pending"]) == (
        "kafka",
        "kafka",
        True,
        1,
        0,
    )
    await configure(pair, MIB)
    replayed = await relay.request("POST", f"/v1/dead-letters/{letter['id']}/replay")
    assert replayed.status == 200
    await relay.until_published()
    shown = await timeline(relay, task_id)
    assert [(entry["offset"], entry["sink"]) for entry in shown["events"]] == [(1, None), (2, None), (3, "kafka")]
    assert states(shown)[-1] == (3, "kafka", "published")
    assert shown["dead_letters"] == []


async def test_what_another_replica_has_published_is_shown_as_absorbed(pair: Pair, relays: Relays) -> None:
    """With several replicas each would claim to have published what only one of them did."""
    sinks = [pair.redis_sink(shared_window="1h")]
    first, second = (relays(sinks=sinks, identity=f"replica-{n}") for n in range(2))
    task_id = new_task()
    for relay in (first, second):
        await relay.start()
        assert await deliver(relay, succeeded(task_id)) == ["accepted"]
        await relay.until_drained()
    assert states(await timeline(first, task_id)) == [(1, "redis", "published")]
    assert states(await timeline(second, task_id)) == [(1, "redis", "absorbed")]
    assert len(await pair.on_redis()) == 1


async def test_a_chat_is_shown_while_it_grows(relays: Relays) -> None:
    """A conversation could be read only when it is over."""
    async with scripted(hang) as upstream, AsyncExitStack() as stack:
        relay = relays(upstream={"base_url": upstream.url}, proxy={"chunk_interval": "0s"})
        await relay.start()
        await under_way(stack, relay.url, 3)
        await until_recorded(relay, 3)
        chats = (await ask(relay, "/v1/chats?state=open"))["chats"]
        assert len(chats) == 3
        assert (await ask(relay, "/v1/status"))["chats"] == {"open": 3}
        assert chats[0]["model"] is not None
        shown = await timeline(relay, chats[1]["chat_id"])
        assert shown["kind"] == "chat"
        kinds = [entry["event"]["type"] for entry in shown["events"]]
        assert (kinds[0], set(kinds[1:])) == ("relay.chat.started", {"relay.chat.chunk"})
        assert shown["events"][0]["offset"] == chats[1]["offset"]
        relay.kill()
        await relay.start()
        assert {chat["state"] for chat in (await ask(relay, "/v1/chats"))["chats"]} == {"failed"}
        ended = await timeline(relay, chats[1]["chat_id"])
        assert [entry["event"]["type"] for entry in ended["events"]] == [*kinds, "relay.chat.failed"]


async def test_a_sink_that_is_away_says_what_is_wrong(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess
) -> None:
    """Somebody who asks how the relay is would see a backlog and not why."""
    server = redis_process()
    await server.start()
    relay = bridge(redis_sink(server.url, pair.key))
    await relay.start()
    await relay.until_up("redis")
    assert (await ask(relay, "/v1/status"))["sinks"][0]["trouble"] is None
    server.kill()
    await relay.accept(succeeded(new_task()))
    async with asyncio.timeout(20):
        while (sink := (await ask(relay, "/v1/status"))["sinks"][0])["trouble"] is None:
            await asyncio.sleep(0.05)
    assert (sink["up"], sink["pending"], sink["published"]) == (False, 1, 0)
    assert sink["trouble"]["message"]
    assert sink["trouble"]["hint"]
    assert sink["lag_seconds"] > 0
