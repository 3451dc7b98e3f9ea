"""``relay replay`` as users run it: a range of the journal again, on real sinks, whatever breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from tests.integration.bridge import Bridge, Sink
from tests.integration.conftest import MakeBridge, Pair
from tests.integration.consumers import Message, kcat
from tests.integration.deliveries import succeeded
from tests.integration.test_cli import run, started

AGAIN = "tasks-again"


def at(bridge: Bridge, *more: str) -> list[str]:
    """The command beside this relay, up to where the range begins."""
    return ["replay", "--config", str(bridge.directory / "relay.yaml"), "--url", bridge.url, "--yes", *more]


async def replayed(*arguments: str, code: int = 0) -> dict[str, Any]:
    """What a replay says in JSON."""
    done = await asyncio.to_thread(run, *arguments, "--json")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ids(messages: Sequence[Message]) -> list[str]:
    return [message.id for message in messages]


async def relay_with(bridge: MakeBridge, sink: Sink, events: int) -> Bridge:
    relay = bridge(sink)
    await relay.start()
    await relay.accept(*(succeeded(f"task-{number}") for number in range(1, events + 1)))
    await relay.until_published()
    return relay


def in_small_batches(relay: Bridge, sink: Sink) -> None:
    """Who reads the configuration from now on publishes two events at a time: a kill hits the middle."""
    relay.sinks = [{**sink, "max_batch_events": 2}]
    relay._written()


@pytest.mark.parametrize("kind", ["kafka", "redis"])
async def test_a_replay_that_is_killed_goes_on_and_repeats_nothing(kind: str, bridge: MakeBridge, pair: Pair) -> None:
    """A killed replay would leave a consumer with holes or doubles, or would have thrown out the relay that runs."""
    sink = {"kafka": pair.kafka_sink, "redis": pair.redis_sink}[kind]()
    read: Callable[[str], Awaitable[list[Message]]] = {"kafka": pair.on_kafka, "redis": pair.on_redis}[kind]
    relay = await relay_with(bridge, sink, 400)
    in_small_batches(relay, sink)
    before = await read("tasks")
    command = at(relay, "--from", "1", "--to", "400", "--sink", kind, "--topic", AGAIN)
    with started(*command) as process:
        async with asyncio.timeout(30):
            while not await _begun(pair, kind):
                assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        process.wait()
    there = len(await read(AGAIN))
    assert 0 < there < 400, "killed in the middle"
    report = await replayed(*command)
    assert report["resumed_after"] == there
    assert report["published"] == 400 - there
    again = await read(AGAIN)
    assert sorted(ids(again)) == sorted(ids(before))
    assert {message.id: message for message in again} == {message.id: message for message in before}
    assert (await replayed(*command))["finished_before"]
    assert len(await read(AGAIN)) == 400
    await relay.accept(succeeded("task-live"))
    await relay.until_published()
    assert len(await read("tasks")) == 401


async def _begun(pair: Pair, kind: str) -> bool:
    if kind == "redis":
        return int(await asyncio.to_thread(pair.redis_cli, "XLEN", pair.key + AGAIN) or 0) > 2
    with contextlib.suppress(Exception):  # kcat knows no topic that is still being made
        return len(await kcat(pair.kafka, pair.topic + AGAIN)) > 2
    return False


async def test_a_stopped_relays_journal_is_replayed_byte_for_byte(bridge: MakeBridge, pair: Pair) -> None:
    """After the relay was stopped nothing could be replayed, or what is replayed would read differently."""
    relay = await relay_with(bridge, pair.redis_sink(), 3)
    command = at(relay, "--sink", "redis", "--from", "2", "--to", "latest", "--topic", AGAIN, "--stopped")
    refused = await asyncio.to_thread(run, *command)
    assert refused.returncode == 1
    assert "Stop the relay first" in refused.stderr
    await relay.stop()
    assert (await replayed(*command))["published"] == 2
    assert await pair.on_redis(AGAIN) == (await pair.on_redis("tasks"))[1:]


async def test_a_shared_window_does_not_swallow_a_replay(bridge: MakeBridge, pair: Pair) -> None:
    """The sink would take the replay for what another replica has published already, and publish nothing."""
    relay = await relay_with(bridge, pair.redis_sink(shared_window="1h"), 2)
    command = at(relay, "--sink", "redis", "--from", "1", "--to", "2", "--same-topic")
    assert (await replayed(*command))["published"] == 2
    assert [m.subject for m in await pair.on_redis("tasks")] == ["task-1", "task-2", "task-1", "task-2"]


async def test_what_the_sink_refuses_is_reported_and_the_rest_is_published(bridge: MakeBridge, pair: Pair) -> None:
    """An event that was too large would hold up a replay, or be missing from it without a word."""
    relay = await relay_with(bridge, pair.redis_sink(), 1)
    await relay.accept(succeeded("task-large", filler=4000), succeeded("task-3"))
    relay.sinks = [pair.redis_sink(max_event_bytes=3000)]
    relay._written()
    report = await replayed(*at(relay, "--sink", "redis", "--from", "1", "--to", "3", "--topic", AGAIN), code=1)
    assert [(each["offset"], each["code"]) for each in report["refused"]] == [(2, "too_large")]
    assert [m.subject for m in await pair.on_redis(AGAIN)] == ["task-1", "task-3"]


async def test_a_selection_is_counted_first_and_published_once(bridge: MakeBridge, pair: Pair) -> None:
    """Nobody could see beforehand what a replay will do, or do the same one again."""
    relay = await relay_with(bridge, pair.redis_sink(), 5)
    command = at(relay, "--sink", "redis", "--from", "1", "--to", "5", "--topic", AGAIN, "--subject", "task-4")
    assert (await replayed(*command, "--dry-run"))["would_publish"] == [
        {"topic": "tasks", "type": "relay.task.succeeded", "events": 1, "to": pair.key + AGAIN}
    ]
    assert await pair.on_redis(AGAIN) == []
    assert (await replayed(*command))["published"] == 1
    assert (await replayed(*command))["published"] == 0
    assert (await replayed(*command, "--again"))["published"] == 1
    assert [m.subject for m in await pair.on_redis(AGAIN)] == ["task-4", "task-4"]


async def test_times_select_by_the_events_own(bridge: MakeBridge, pair: Pair) -> None:
    """Somebody who knows when a consumer was down could not replay that time."""
    relay = await relay_with(bridge, pair.redis_sink(), 3)
    times = [message.attributes["time"] for message in await pair.on_redis("tasks")]
    command = at(relay, "--sink", "redis", "--from", times[1], "--to", times[1], "--topic", AGAIN)
    await replayed(*command)
    wanted = [message.subject for message in await pair.on_redis("tasks") if message.attributes["time"] == times[1]]
    assert [message.subject for message in await pair.on_redis(AGAIN)] == wanted


async def test_an_unfinished_replay_is_not_forgotten_for_another(bridge: MakeBridge, pair: Pair) -> None:
    """The first replay, typed again later, would start over and publish its events twice."""
    relay = await relay_with(bridge, pair.redis_sink(), 400)
    in_small_batches(relay, pair.redis_sink())
    first = at(relay, "--sink", "redis", "--from", "1", "--to", "400", "--topic", AGAIN)
    with started(*first) as process:
        async with asyncio.timeout(30):
            while not await _begun(pair, "redis"):
                assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        process.wait()
    other = at(relay, "--sink", "redis", "--from", "1", "--to", "2", "--topic", "other")
    refused = await asyncio.to_thread(run, *other)
    assert refused.returncode == 1
    assert "offsets 1 to 400 to tasks-again is at" in refused.stderr
    assert (await replayed(*other, "--abandon"))["published"] == 2


async def test_the_offsets_of_another_journal_are_other_events(bridge: MakeBridge, pair: Pair) -> None:
    """After a lost volume a replay would be taken for one that was done, and nothing be published, without an error."""
    relay = await relay_with(bridge, pair.redis_sink(), 1)
    command = ("--sink", "redis", "--from", "1", "--to", "1", "--topic", AGAIN)
    assert (await replayed(*at(relay, *command)))["published"] == 1
    await relay.stop()
    for file in relay.directory.glob("relay.db*"):
        file.unlink()
    await relay.start()
    await relay.accept(succeeded("task-new"))
    await relay.until_published()
    assert (await replayed(*at(relay, *command)))["published"] == 1
    assert [m.subject for m in await pair.on_redis(AGAIN)] == ["task-1", "task-new"]


async def test_a_relay_that_does_not_run_is_reported_with_the_way_out(bridge: MakeBridge, pair: Pair) -> None:
    """A user who has stopped the relay would not learn that its journal can be read all the same."""
    relay = await relay_with(bridge, pair.redis_sink(), 1)
    command = at(relay, "--sink", "redis", "--from", "1", "--to", "1", "--topic", AGAIN)
    await relay.stop()
    refused = await asyncio.to_thread(run, *command)
    assert refused.returncode == 1
    assert "--stopped" in refused.stderr
