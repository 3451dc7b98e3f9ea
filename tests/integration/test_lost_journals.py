"""The journal's volume is lost, or put back from an older copy, under sinks that remember more than it does.

What the promises are worth then is in docs/consumers.md and here: nothing new is lost or taken for published, and
what the journal has forgotten it cannot recognize, so a delivery of it that comes again is published again, with the
same event id.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from relay.publishing import publisher
from tests.integration import consumers
from tests.integration.bridge import Bridge, States, redis_sink
from tests.integration.conftest import MakeBridge, Pair
from tests.integration.deliveries import new_task, succeeded
from tests.services.redis import RedisProcess, RedisServer


def bodies(count: int) -> list[bytes]:
    return [succeeded(new_task()) for _ in range(count)]


@pytest.fixture
async def relay(pair: Pair, bridge: MakeBridge) -> Bridge:
    """Started, on both sinks."""
    made = bridge(*pair.sinks())
    await made.start()
    return made


async def event_ids(relay: Bridge) -> list[str]:
    return [event["event"]["id"] for event in await relay.events()]


async def check_both(pair: Pair, ids: list[str]) -> None:
    """Each of these is on each sink exactly once, on Redis in this order."""
    assert [m.id for m in await pair.on_redis()] == ids
    assert sorted(m.id for m in await pair.on_kafka()) == sorted(ids)


async def test_events_flow_after_the_volume_was_lost(relay: Bridge, pair: Pair) -> None:
    """TRAP J: the new journal counts from 1 again, and the sinks, which are at 20, would take 20 new events for
    published."""
    ids = await relay.accept(*bodies(20))
    await relay.until_published()
    await relay.stop()
    for path in relay.directory.glob("relay.db*"):
        path.unlink()

    await relay.start()
    ids += await relay.accept(*bodies(5))
    await relay.until_published()
    await check_both(pair, ids)
    assert await event_ids(relay) == ids[20:]
    await relay.restart()  # the new lineage is what the sinks remember now
    ids += await relay.accept(*bodies(5))
    await relay.until_published()
    await check_both(pair, ids)
    for sink in ("kafka", "redis"):
        assert await relay.states(sink) == States(published=10, pending=0, dead=0)


async def test_a_lost_volume_forgets_what_was_delivered(relay: Bridge, pair: Pair) -> None:
    """The limit that the docs state would be another one: after a lost volume a redelivery is published again, under
    the same id, so that consumers which keep ids recognize it."""
    body = succeeded(new_task())
    ids = await relay.accept(body)
    await relay.until_published()
    await relay.stop()
    for path in relay.directory.glob("relay.db*"):
        path.unlink()
    await relay.start()
    assert await relay.accept(body) == ids
    await relay.until_published()
    await check_both(pair, ids * 2)


async def copy_of(relay: Bridge, directory: Path) -> Path:
    """A copy of the journal, taken in the orderly way: while the relay is stopped."""
    await relay.until_published()
    await relay.stop()
    copy = directory / "copy.db"
    shutil.copy(relay.journal, copy)
    await relay.start()
    return copy


async def put_back(relay: Bridge, copy: Path) -> None:
    """Replaces the journal of a relay that has published everything by an older copy. Leaves it stopped."""
    await relay.until_published()
    await relay.stop()
    for path in relay.directory.glob("relay.db*"):
        path.unlink()
    shutil.copy(copy, relay.journal)


async def test_an_older_copy_goes_on_beyond_what_the_sinks_have(relay: Bridge, pair: Pair, tmp_path: Path) -> None:
    """Offsets would be given out twice, and new events under old offsets be taken for published: lost."""
    ids = await relay.accept(*bodies(3))
    copy = await copy_of(relay, tmp_path)
    ids += await relay.accept(*bodies(4))
    await put_back(relay, copy)

    await relay.start()
    await relay.until_up("kafka")
    await relay.until_up("redis")
    ids += await relay.accept(*bodies(5))
    await relay.until_published()
    await check_both(pair, ids)
    assert [event["offset"] for event in await relay.events()] == [1, 2, 3, 8, 9, 10, 11, 12]
    for sink in ("kafka", "redis"):
        # The four that the copy does not know are on the sinks, but in no account of this journal.
        assert await relay.states(sink) == States(published=8, pending=0, dead=0)


async def test_an_older_copy_forgets_what_came_after_it(relay: Bridge, pair: Pair, tmp_path: Path) -> None:
    """The limit that the docs state would be another one: what came before the copy is recognized, what came after
    it is published again, under the same id."""
    before, after = bodies(2)
    await relay.accept(before)
    copy = await copy_of(relay, tmp_path)
    await relay.accept(after)
    await put_back(relay, copy)
    await relay.start()
    await relay.until_up("kafka")
    await relay.until_up("redis")
    answers = [(await relay.deliver(body)).body["status"] for body in (before, after)]
    assert answers == ["duplicate", "accepted"]
    await relay.until_published()
    on_redis = [m.id for m in await pair.on_redis()]
    assert len(on_redis) == 3
    assert on_redis[1] == on_redis[2]


async def test_a_copy_that_is_put_back_twice_repeats_nothing(relay: Bridge, pair: Pair, tmp_path: Path) -> None:
    """P2 broken: the sinks would know the id only that the journal took the first time, and get all of it again."""
    ids = await relay.accept(*bodies(3))
    copy = await copy_of(relay, tmp_path)
    for _ in range(2):
        ids += await relay.accept(*bodies(2))
        await put_back(relay, copy)
        await relay.start()
        await relay.until_up("kafka")
        await relay.until_up("redis")
    ids += await relay.accept(*bodies(2))
    await relay.until_published()
    await check_both(pair, ids)


async def test_deliveries_before_the_sinks_are_there_survive_an_older_copy(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess, tmp_path: Path
) -> None:
    """What is accepted while a sink is away gets offsets that this sink has seen already: when it comes back it would
    take those events for published, and they would be lost."""
    server = redis_process()
    await server.start()
    relay = bridge(redis_sink(server.url, pair.key))
    await relay.start()
    ids = await relay.accept(*bodies(3))
    copy = await copy_of(relay, tmp_path)
    ids += await relay.accept(*bodies(4))
    await put_back(relay, copy)
    await asyncio.to_thread(server.kill)

    await relay.start()
    ids += await relay.accept(*bodies(2))  # offsets 4 and 5 again; Redis is at 7
    await server.start()
    await relay.until_published()
    ids += await relay.accept(*bodies(2))
    await relay.until_published()
    assert [m.id for m in await consumers.on_redis(server.redis, pair.key + "tasks")] == ids


async def flushed(pair: Pair, bridge: MakeBridge, server: RedisServer) -> tuple[Bridge, list[str]]:
    """A relay that has published 6 events to a Redis which lost the first 5 of them meanwhile; all ids."""
    await server.start()
    relay = bridge(redis_sink(server.url, pair.key))
    await relay.start()
    ids = await relay.accept(*bodies(5))
    await relay.until_published()
    await asyncio.to_thread(server.cli, "FLUSHALL")
    ids += await relay.accept(*bodies(1))
    async with asyncio.timeout(20):
        while len(await consumers.redis_cli(server.redis, pair.key + "tasks")) < 6:
            await asyncio.sleep(0.05)
    await relay.until_published()
    return relay, ids


async def test_a_redis_that_lost_everything_gets_it_again(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess
) -> None:
    """Events that a sink acknowledged and lost would stay lost, although the journal still has them."""
    server = redis_process()
    _, ids = await flushed(pair, bridge, server)
    assert [m.id for m in await consumers.on_redis(server.redis, pair.key + "tasks")] == ids


async def test_a_redis_that_lost_everything_in_a_quiet_hour_gets_it_again(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failover took from the sink would be missing there until the next event comes, even after a week."""
    monkeypatch.setattr(publisher, "_CHECK_EVERY", 0.1)
    server = redis_process()
    await server.start()
    relay = bridge(redis_sink(server.url, pair.key))
    await relay.start()
    ids = await relay.accept(*bodies(5))
    await relay.until_published()
    await asyncio.to_thread(server.cli, "FLUSHALL")
    async with asyncio.timeout(20):
        while len(await consumers.redis_cli(server.redis, pair.key + "tasks")) < 5:
            await asyncio.sleep(0.05)
    assert [m.id for m in await consumers.on_redis(server.redis, pair.key + "tasks")] == ids


async def test_the_balance_holds_after_a_sink_lost_events(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess
) -> None:
    """P5 broken: more events would be counted as published than were ever accepted, for good."""
    relay, ids = await flushed(pair, bridge, redis_process())
    assert await relay.states("redis") == States(published=len(ids), pending=0, dead=0)


async def test_what_a_redis_lost_and_the_journal_pruned_is_counted_as_missing(
    pair: Pair, bridge: MakeBridge, redis_process: RedisProcess, swift_maintenance: None
) -> None:
    """P5 broken: events that are nowhere any more would be counted as published, and as missing none."""
    server = redis_process()
    await server.start()
    relay = bridge(redis_sink(server.url, pair.key), journal={"retention": "0s"})
    await relay.start()
    await relay.accept(*bodies(5))
    await relay.until_published()
    await relay.until_pruned()
    relay.sections["journal"]["retention"] = "7d"
    await relay.restart()
    ids = await relay.accept(*bodies(3))
    await relay.until_published()
    await asyncio.to_thread(server.cli, "FLUSHALL")
    ids += await relay.accept(*bodies(1))
    async with asyncio.timeout(20):
        while len(await consumers.redis_cli(server.redis, pair.key + "tasks")) < 4:
            await asyncio.sleep(0.05)
    await relay.until_published()
    assert [m.id for m in await consumers.on_redis(server.redis, pair.key + "tasks")] == ids
    assert await relay.states("redis") == States(published=4, pending=0, dead=0)
    assert await relay.metric("relay_sink_events_missing_total", sink="redis") == 5
