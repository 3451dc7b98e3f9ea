"""Several replicas feed one set of Redis streams: the script recognizes their repetitions."""

from __future__ import annotations

import pytest

from relay.core.event import CHAT, Draft, Entry
from relay.core.sink import Absorbed, Batch, Checkpoint, Published, Sink, SinkUnavailable
from tests.integration.redis_publishing import Connect, ids, unavailable
from tests.services.redis import RedisServer, redis_cli_read, until
from tests.unit.drafts import dead_draft, draft

PUBLISHED, ABSORBED = Published(), Absorbed()


async def replica(make: Connect, server: RedisServer, name: str, *, window: str | None = "1h") -> Sink:
    """An open sink of one replica, its checkpoint at the start."""
    sink = make(server.url, name=name, instance=name, shared_window=window)
    await sink.open()
    return sink


def batch(*drafts: Draft, after: int = 0, dead: int = 0, absorbed: int = 0) -> Batch:
    entries = [
        Entry(after + n, 0, each.event, each.sink, each.key, each.fingerprint) for n, each in enumerate(drafts, start=1)
    ]
    return Batch(entries, Checkpoint("journal", after + len(drafts), dead, absorbed))


def kinds(server: RedisServer) -> list[tuple[str, str]]:
    return [(f["id"].decode(), f["type"].decode()) for _, f in redis_cli_read(server.port, "{relay}:tasks")]


async def test_what_another_replica_has_published_is_skipped(make_sink: Connect, server: RedisServer) -> None:
    """P4 broken across replicas: a delivery that is repeated to another replica would be published again."""
    a, b = await replica(make_sink, server, "a"), await replica(make_sink, server, "b")
    assert list(await a.publish(batch(draft("1"), draft("2")))) == [PUBLISHED, PUBLISHED]
    outcomes = await b.publish(batch(draft("2"), draft("3"), draft("1"), dead=4, absorbed=5))
    assert list(outcomes) == [ABSORBED, PUBLISHED, ABSORBED]
    assert ids(server.port) == ["1:succeeded", "2:succeeded", "3:succeeded"]
    assert await b.open() == Checkpoint("journal", 3, 4, 7)
    assert list(await b.publish(batch(draft("4"), after=3))) == [PUBLISHED]


async def test_another_ending_is_published_once_as_a_contradiction(make_sink: Connect, server: RedisServer) -> None:
    """P4 broken: two endings of one task would both be published as its only one, or a contradiction twice."""
    a, b = await replica(make_sink, server, "a"), await replica(make_sink, server, "b")
    c = await replica(make_sink, server, "c")
    await a.publish(batch(draft("t", says="x")))
    assert list(await b.publish(batch(draft("t", says="y")))) == [PUBLISHED]
    assert list(await c.publish(batch(draft("t", says="y"), draft("t", says="x")))) == [ABSORBED, ABSORBED]
    first, second = kinds(server)
    assert first == ("t:succeeded", "relay.task.succeeded")
    assert second == (f"t:conflicted:{b'y'.hex()}", "relay.task.conflicted")


async def test_what_only_one_replica_knows_or_means_is_published(make_sink: Connect, server: RedisServer) -> None:
    """A chat would be taken for a repetition of another, or a replayed dead letter for that of itself."""
    a, b = await replica(make_sink, server, "a"), await replica(make_sink, server, "b")
    chat = draft("c")._replace(event=draft("c").event._replace(topic=CHAT))
    replay = draft("1")._replace(sink="redis")
    await a.publish(batch(draft("1"), chat, dead_draft()))
    outcomes = await b.publish(batch(replay, chat, dead_draft()))
    assert list(outcomes) == [PUBLISHED, PUBLISHED, ABSORBED]


async def test_the_largest_batch_is_within_what_redis_takes(make_sink: Connect, server: RedisServer) -> None:
    """A batch as large as the configuration allows would be more keys or values than a command or Lua may have."""
    a = make_sink(server.url, name="a", instance="a", shared_window="1h", max_batch_events=10_000, socket_timeout="30s")
    b = make_sink(server.url, name="b", instance="b", shared_window="1h", max_batch_events=10_000, socket_timeout="30s")
    await a.open()
    await b.open()
    drafts = [draft(str(n)) for n in range(10_000)]
    full = [each._replace(event=each.event._replace(dataschema="urn:x", traceparent="00-1-1-00")) for each in drafts]
    assert set(await a.publish(batch(*full))) == {PUBLISHED}
    assert set(await b.publish(batch(*full))) == {ABSORBED}
    assert server.cli("XLEN", "{relay}:tasks") == b"10000"


async def test_a_relay_that_is_alone_keeps_no_facts(make_sink: Connect, server: RedisServer) -> None:
    """Every relay would pay, in memory of Redis, for what only several of them need."""
    alone = await replica(make_sink, server, "a", window=None)
    await alone.publish(batch(draft("1")))
    assert server.cli("DBSIZE") == b"2"  # the stream and the checkpoint


async def test_facts_are_forgotten_after_the_window(make_sink: Connect, server: RedisServer) -> None:
    """Redis would fill up with facts; or a repetition within the window be published."""
    a, b = await replica(make_sink, server, "a", window="500ms"), await replica(make_sink, server, "b")
    await a.publish(batch(draft("1")))
    assert list(await b.publish(batch(draft("1")))) == [ABSORBED]
    await until(lambda: server.cli("EVAL", "return #redis.call('KEYS', '*fact*')", "0") == b"0")
    assert list(await b.publish(batch(draft("1"), after=1))) == [PUBLISHED]


async def test_facts_and_events_are_lost_together(make_sink: Connect, server: RedisServer) -> None:
    """After Redis lost its last writes, an event that is gone would be skipped as published."""
    a, b = await replica(make_sink, server, "a"), await replica(make_sink, server, "b")
    await a.publish(batch(draft("1")))
    server.cli("FLUSHALL")
    with pytest.raises(SinkUnavailable):
        await b.publish(batch(draft("1")))
    assert await b.open() is None
    assert list(await b.publish(batch(draft("1")))) == [PUBLISHED]
    assert await a.open() is None
    assert list(await a.publish(batch(draft("1")))) == [ABSORBED]
    assert ids(server.port) == ["1:succeeded"]


async def test_memory_that_runs_out_leaves_a_true_checkpoint(make_sink: Connect, server: RedisServer) -> None:
    """An event that was not written any more would be remembered as published, and be lost."""
    a = await replica(make_sink, server, "a")
    server.cli("CONFIG", "SET", "maxmemory", "1")
    full = await unavailable(a.publish(batch(draft("1"), draft("2"))))
    assert full.code == "out_of_memory"
    server.cli("CONFIG", "SET", "maxmemory", "0")
    assert await a.open() is None
    assert list(await a.publish(batch(draft("1"), draft("2")))) == [PUBLISHED, PUBLISHED]


async def test_a_redis_that_evicts_facts_is_refused(make_sink: Connect, server: RedisServer) -> None:
    """Facts have an expiry, so a policy that spares the streams would evict them, and repetitions get through."""
    server.cli("CONFIG", "SET", "maxmemory", "100mb")
    server.cli("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    shared = make_sink(server.url, shared_window="1h")
    assert (await unavailable(shared.open())).code == "eviction_enabled"
    await replica(make_sink, server, "alone", window=None)
    await make_sink(server.url, shared_window="1h", allow_eviction=True).open()
