"""The Redis sink against a real server that forgets, fills up, hangs and loses replies."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from relay.core.event import CHAT
from relay.core.sink import Batch, Checkpoint, Published, Refused, SinkFenced, SinkUnavailable
from tests.integration.redis_publishing import (
    BOUND,
    Connect,
    batch,
    deliver,
    entry,
    expected_ids,
    ids,
    unavailable,
)
from tests.services.redis import Redis, RedisProcess, RedisServer, until
from tests.services.tcp_proxy import TcpProxy


def checkpoint_offset(server: RedisServer, name: str = "relay-0") -> bytes:
    return server.cli("HGET", f"{{relay}}:checkpoint:{name}", "offset")


async def test_flushed_script_cache_goes_unnoticed(make_sink: Connect, server: RedisServer) -> None:
    """Else publishing would fail after SCRIPT FLUSH, or on a promoted replica, until a restart."""
    sink = make_sink(server.url)
    await sink.open()
    await sink.publish(batch(1, 3))
    server.cli("SCRIPT", "FLUSH")
    assert list(await sink.publish(batch(4, 6))) == [Published()] * 3
    assert ids(server.port) == expected_ids(6)


async def test_out_of_memory_writes_nothing_and_recovers(make_sink: Connect, server: RedisServer) -> None:
    """Else a full Redis would keep half a batch, which would then be doubled."""
    sink = make_sink(server.url)
    await deliver(sink, 3)
    server.cli("CONFIG", "SET", "maxmemory", "1")
    assert (await unavailable(sink.publish(batch(4, 9)))).code == "out_of_memory"
    assert (await unavailable(sink.publish(batch(4, 9)))).code == "not_open", "after a failure comes open"
    assert (await unavailable(sink.open())).code == "out_of_memory"
    assert (ids(server.port), checkpoint_offset(server)) == (expected_ids(3), b"3")
    server.cli("CONFIG", "SET", "maxmemory", "0")
    await deliver(sink, 9)
    assert ids(server.port) == expected_ids(9)


async def test_memory_that_runs_out_within_a_batch(make_sink: Connect, server: RedisServer) -> None:
    """Else a batch that crosses maxmemory would be torn: Redis checks it only before a script's first write."""
    sink = make_sink(server.url)
    await sink.open()
    used = dict(line.split(b":") for line in server.cli("INFO", "memory").split() if b":" in line)[b"used_memory"]
    server.cli("CONFIG", "SET", "maxmemory", str(int(used) + 2_000_000))
    big = [entry(n, size=300_000) for n in range(1, 13)]
    outcomes: list[str] = []
    for number in range(0, 12, 4):
        try:
            part = big[number : number + 4]
            await sink.publish(Batch(part, Checkpoint("journal-1", part[-1].offset)))
            outcomes.append("published")
        except SinkUnavailable as error:
            outcomes.append(error.code)
            break
    assert outcomes[-1] == "out_of_memory"
    assert ids(server.port) == expected_ids(4 * outcomes.count("published"))


async def test_error_within_a_batch_leaves_a_true_checkpoint(make_sink: Connect, server: RedisServer) -> None:
    """Else an XADD that fails in the middle of the script, which Redis does not roll back, would double events."""
    last_id = "18446744073709551615-18446744073709551615"
    server.cli("XADD", "{relay}:chat", last_id, "used", "up")
    sink = make_sink(server.url)
    await sink.open()
    torn = Batch([entry(1), entry(2), entry(3, CHAT), entry(4)], Checkpoint("journal-1", 4))
    error = await unavailable(sink.publish(torn))
    assert error.code == "rejected"
    assert await sink.open() == Checkpoint("journal-1", 2)
    assert ids(server.port) == expected_ids(2)


async def test_key_of_another_type_is_named(make_sink: Connect, server: RedisServer) -> None:
    """Else another application's key would stop the relay without saying which one, or half a batch be written."""
    sink = make_sink(server.url)
    await sink.open()
    server.cli("SET", "{relay}:chat", "something else")
    error = await unavailable(sink.publish(batch(1, 3)))
    assert error.code == "wrong_type"
    assert "{relay}:chat" in error.message
    assert ids(server.port) == []


async def test_older_dump_rewinds(make_sink: Connect, redis_process: RedisProcess) -> None:
    """Else events that a restored Redis no longer has would be missing forever (test matrix R6)."""
    server = redis_process("--appendonly", "no")
    await server.start()
    sink = make_sink(server.url)
    await deliver(sink, 5)
    server.cli("SAVE")
    dump = shutil.copy(server.directory / "dump.rdb", server.directory / "older.rdb")
    await deliver(sink, 12)
    server.kill()
    shutil.move(dump, server.directory / "dump.rdb")
    await server.start()
    await unavailable(sink.publish(batch(13, 14)))
    assert await sink.open() == Checkpoint("journal-1", 5)
    await deliver(sink, 20)
    assert ids(server.port) == expected_ids(20)


async def test_flushed_redis_starts_again_from_the_journal(make_sink: Connect, server: RedisServer) -> None:
    """Else the sink would go on after FLUSHALL as if the lost events were still there, or stop as if fenced."""
    sink = make_sink(server.url)
    await deliver(sink, 5)
    server.cli("FLUSHALL")
    assert (await unavailable(sink.publish(batch(6, 7)))).code == "checkpoint_moved"
    assert await sink.open() is None
    await deliver(sink, 8)
    assert ids(server.port) == expected_ids(8)


@pytest.mark.parametrize("zombie_first", [True, False])
async def test_restored_claim_of_a_zombie_does_not_outrank(
    make_sink: Connect, server: RedisServer, zombie_first: bool
) -> None:
    """Else an older dump, which holds a predecessor's claim, would fence the rightful process or free the zombie."""
    key = "{relay}:checkpoint:relay-0"
    zombie, rightful = make_sink(server.url, instance="old"), make_sink(server.url, instance="new")
    await deliver(zombie, 3)
    older = [server.cli("HGET", key, field).decode() for field in ("instance", "epoch")]
    await rightful.open()
    server.cli("HSET", key, "instance", older[0], "epoch", str(int(older[1]) - 1))
    if zombie_first:
        assert await zombie.open() == Checkpoint("journal-1", 3)
    assert await rightful.open() == Checkpoint("journal-1", 3)
    with pytest.raises(SinkFenced):
        await (zombie.publish(batch(4, 5)) if zombie_first else zombie.open())
    server.cli("DEL", key)
    with pytest.raises(SinkFenced):
        await zombie.open()
    assert ids(server.port) == expected_ids(3)


async def test_later_claim_wins_although_the_clock_went_back(make_sink: Connect, server: RedisServer) -> None:
    """Else a process started after a clock correction could never claim the checkpoint."""
    key = "{relay}:checkpoint:relay-0"
    server.cli("HSET", key, "instance", "old", "epoch", "9000000000000", "journal_id", "journal-1", "offset", "3")
    sink = make_sink(server.url, instance="new")
    assert await sink.open() == Checkpoint("journal-1", 3)
    assert server.cli("HGET", key, "epoch") == b"9000000000001"
    await sink.publish(batch(4, 5))


async def test_claim_of_the_same_moment_fences(make_sink: Connect, server: RedisServer) -> None:
    """Else two processes whose claims a failover made equal would take turns instead of one of them stopping."""
    sink = make_sink(server.url)
    await deliver(sink, 3)
    server.cli("HSET", "{relay}:checkpoint:relay-0", "instance", "other")
    with pytest.raises(SinkFenced):
        await sink.publish(batch(4, 5))


async def test_lost_replies_do_not_double(make_sink: Connect, redis_server: Redis) -> None:
    """Else a reply lost after the script ran would put the batch on the stream again (test matrix R4)."""
    prefix = redis_server.prefix()
    async with TcpProxy(redis_server.port) as proxy:
        sink = make_sink(f"redis://127.0.0.1:{proxy.port}/0", prefix=prefix)
        lost = 0
        held = await sink.open()
        while (first := held.offset + 1 if held else 1) <= 125:
            proxy.mode = "drop_replies"
            await unavailable(sink.publish(batch(first, first + 4)))
            lost += 1
            proxy.mode = "forward"
            held = await sink.open()
        assert lost == proxy.replies_dropped == 25
    assert ids(redis_server.port, prefix) == expected_ids(125)


async def test_batch_that_arrives_twice_is_written_once(make_sink: Connect, redis_server: Redis) -> None:
    """Else a batch delayed in the network and sent again after reopening would be doubled."""
    prefix = redis_server.prefix()
    sink = make_sink(redis_server.url, prefix=prefix)
    await sink.open()
    await sink.publish(batch(1, 5))
    sink._held = None  # type: ignore[attr-defined]  # the delayed copy of the first batch expects no checkpoint
    assert (await unavailable(sink.publish(batch(1, 5)))).code == "checkpoint_moved"
    assert await sink.open() == Checkpoint("journal-1", 5)
    assert ids(redis_server.port, prefix) == expected_ids(5)


async def test_reset_connection_is_unavailable(make_sink: Connect, redis_server: Redis) -> None:
    """Else a connection cut by a load balancer would surface as a bug instead of being opened again."""
    prefix = redis_server.prefix()
    async with TcpProxy(redis_server.port) as proxy:
        sink = make_sink(f"redis://127.0.0.1:{proxy.port}/0", prefix=prefix)
        await sink.open()
        proxy.reset()
        assert (await unavailable(sink.publish(batch(1, 2)))).code == "unreachable"
        await deliver(sink, 4)
    assert ids(redis_server.port, prefix) == expected_ids(4)


async def test_blackhole_is_bounded(make_sink: Connect, redis_server: Redis) -> None:
    """Else a network that swallows packets would hang the publisher, or its shutdown, forever."""
    async with TcpProxy(redis_server.port) as proxy, asyncio.timeout(10):
        sink = make_sink(f"redis://127.0.0.1:{proxy.port}/0", prefix=redis_server.prefix(), socket_timeout="300ms")
        await sink.open()
        proxy.mode = "blackhole"
        assert (await unavailable(sink.publish(batch(1, 2)))).code == "timeout"
        assert (await unavailable(sink.open())).code == "timeout"
        await sink.close()


async def test_paused_server_is_bounded_and_its_late_write_is_not_doubled(
    make_sink: Connect, server: RedisServer
) -> None:
    """Else a Redis that hangs would hang the relay, and a batch written after the timeout would be doubled."""
    sink = make_sink(server.url, socket_timeout="300ms")
    await deliver(sink, 3)
    server.pause()
    assert (await unavailable(sink.publish(batch(4, 8)))).code == "timeout"
    server.resume()
    await deliver(sink, 12)
    assert ids(server.port) == expected_ids(12)


async def test_connections_to_a_hanging_server_are_dropped(make_sink: Connect, server: RedisServer) -> None:
    """Else each try against a Redis that reads nothing would leave a socket and an unsent batch behind."""
    sink = make_sink(server.url, socket_timeout="300ms")
    await sink.open()
    before = open_sockets()
    huge = Batch([entry(1, size=32 * 1024 * 1024)], Checkpoint("journal-1", 1))
    server.pause()
    assert (await unavailable(sink.publish(huge))).code == "timeout"
    await until(lambda: open_sockets() < before)


def open_sockets() -> int:
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(str(link).startswith("socket:") for link in links)


async def test_a_look_and_a_refused_opening_leave_no_connection(make_sink: Connect, server: RedisServer) -> None:
    """Else each look of a replay, and each try at a Redis that cannot be used, would leave one, until Redis is full."""
    sink = make_sink(server.url)
    before = open_sockets()
    assert await sink.glance() is None
    server.cli("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    refused = await unavailable(sink.open())
    await until(lambda: open_sockets() == before)
    assert refused.code == "eviction_enabled"


async def test_trimming_by_age(make_sink: Connect, server: RedisServer) -> None:
    """Else ``retention`` would keep what it should delete, or delete what is younger."""
    server.cli("CONFIG", "SET", "stream-node-max-entries", "1")
    for old in ("1-0", "2-0"):
        server.cli("XADD", "{relay}:tasks", old, "id", "old")
    server.cli("XADD", "{relay}:chat", "1-0", "id", "old")
    sink = make_sink(server.url, retention="1h")
    await sink.open()
    await sink.publish(batch(1, 3))
    await sink.publish(batch(4, 5))
    assert ids(server.port) == expected_ids(5)
    assert ids(server.port, topic=CHAT) == ["old"], "a stream that gets no event is left alone"


async def test_nothing_is_trimmed_by_default(make_sink: Connect, server: RedisServer) -> None:
    """Else a slow consumer would lose events that nobody asked to delete."""
    server.cli("CONFIG", "SET", "stream-node-max-entries", "1")
    server.cli("XADD", "{relay}:tasks", "1-0", "id", "event-0")
    sink = make_sink(server.url)
    await sink.open()
    await sink.publish(batch(1, 3))
    assert ids(server.port) == ["event-0", *expected_ids(3)]


@pytest.mark.parametrize(("policy", "refused"), [("allkeys-lru", True), ("volatile-lru", False), ("noeviction", False)])
async def test_eviction_of_our_keys_is_refused(
    make_sink: Connect, server: RedisServer, policy: str, refused: bool
) -> None:
    """Else Redis could evict the checkpoint alone, and every event would be repeated."""
    server.cli("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", policy)
    assert await make_sink(server.url, allow_eviction=True, name="careless").open() is None
    sink = make_sink(server.url)
    if refused:
        assert (await unavailable(sink.open())).code == "eviction_enabled"
    else:
        assert await sink.open() is None


async def test_smaller_bulk_limit_of_the_server_is_respected(make_sink: Connect, server: RedisServer) -> None:
    """Else an event above the server's limit would end the connection again and again, and block the rest."""
    server.cli("CONFIG", "SET", "proto-max-bulk-len", "1mb")
    sink = make_sink(server.url)
    await sink.open()
    huge = Batch([entry(1, size=1024 * 1024 + 1)], Checkpoint("journal-1", 1))
    [outcome] = await sink.publish(huge)
    assert isinstance(outcome, Refused)
    assert outcome.code == "too_large"


async def test_loading_server_is_waited_for(make_sink: Connect, redis_process: RedisProcess) -> None:
    """Else a Redis that is still reading its data would look like an unknown failure."""
    server = redis_process("--appendonly", "no")
    await server.start()
    server.cli("EVAL", "for i = 1, 20000 do redis.call('SET', 'filler:' .. i, i) end", "0")
    server.cli("SAVE")
    server.kill()
    server.options = (*server.options, "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
    server.launch()
    sink = make_sink(server.url)
    codes = set()
    async with asyncio.timeout(BOUND):
        while "loading" not in codes:
            codes.add((await unavailable(sink.open())).code)
    assert codes <= {"unreachable", "loading"}


async def test_a_cancellation_is_not_lost_wherever_it_comes(make_sink: Connect, server: RedisServer) -> None:
    """A publisher that is cancelled while it sends would go on as if nothing had happened."""
    for steps in range(12):
        sink = make_sink(server.url)
        held = await sink.open()
        task = asyncio.ensure_future(
            sink.publish(batch(held.offset + 1 if held else 1, held.offset + 1 if held else 1))
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        was_done = task.done()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or was_done, steps
        await sink.close()


async def test_server_runs_only_while_the_test_does(redis_process: RedisProcess) -> None:
    """Else the fixtures would leave processes behind."""
    server = redis_process()
    await server.start()
    assert server.process is not None
    process = server.process
    server.pause()
    server.stop()
    assert process.poll() is not None
