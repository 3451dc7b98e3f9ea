"""Several publishers, each with a journal of its own, that share one place and one index on a real Redis.

The place is in memory, so that thousands of crashes, lost replies and outages fit into seconds; it keeps events and
checkpoints together, as every sink must. ``tests/faults/test_replicas.py`` does it with processes and brokers.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from relay.core.event import Draft
from relay.core.retry import Backoff
from relay.core.sink import Batch, Checkpoint, Limits, Outcome, Published, Refused, SinkUnavailable, Withheld
from relay.journal.journal import Journal, Policy, open_journal
from relay.publishing.claims import Claims
from relay.publishing.publisher import Publisher
from relay.sinks.redis import shared_index
from relay.sinks.redis.shared_index import RedisIndex
from relay.telemetry.signals.claims import ClaimSignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.telemetry import Telemetry
from tests.services.redis import RedisProcess, RedisServer
from tests.unit.drafts import draft
from tests.unit.letters import letters_in

SEED = int(os.environ.get("RELAY_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
WITHIN = 60.0


class Place:
    """Where the replicas publish: what consumers see, and each replica's checkpoint."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.checkpoints: dict[str, Checkpoint] = {}

    @property
    def ids(self) -> list[str]:
        return [event_id for event_id, _ in self.events]


class MemorySink:
    """A sink of one replica; ``dice`` decides how often a batch or its reply gets lost."""

    limits = Limits(events=7, bytes=1 << 20)
    scope = "place"
    in_doubt = 0.1

    def __init__(self, place: Place, name: str, dice: random.Random, loses: float) -> None:
        self._place, self._name, self._dice, self._loses = place, name, dice, loses
        self.hangs_at: asyncio.Event | None = None

    async def ready(self) -> None: ...

    async def open(self) -> Checkpoint | None:
        await asyncio.sleep(0)
        return self._place.checkpoints.get(self._name)

    async def publish(self, batch: Batch) -> Sequence[Outcome]:
        bad = [entry.event.data == b'"bad"' for entry in batch.entries]
        if any(bad):
            return [Refused("invalid", "?") if each else Withheld() for each in bad]
        if self.hangs_at is not None:
            self.hangs_at.set()
            await asyncio.Event().wait()
        await asyncio.sleep(self._dice.random() * 0.002)
        if self._dice.random() < self._loses:
            raise SinkUnavailable("lost", "The batch was lost.")
        self._place.events += [(entry.event.id, entry.event.type) for entry in batch.entries]
        self._place.checkpoints[self._name] = batch.checkpoint
        if self._dice.random() < self._loses:
            raise SinkUnavailable("lost", "The reply was lost.")
        return [Published()] * len(batch.entries)

    async def close(self) -> None: ...


class Replica:
    """A journal and a publisher that can be killed in the middle of whatever it is doing."""

    def __init__(self, place: Place, server: RedisServer, path: Path, name: str, dice: random.Random) -> None:
        self.name, self._place, self._server, self._path, self._dice = name, place, server, path, dice
        self.telemetry = Telemetry()
        self.loses = 0.0
        self.lease = 30.0
        self.hangs_at: asyncio.Event | None = None

    async def start(self) -> None:
        self.journal: Journal = await open_journal(self._path, ["memory"], Policy(), JournalSignals(self.telemetry))
        index = RedisIndex(
            {"url": self._server.url},
            scope="place",
            identity=self.name,
            origin=lambda: self.journal.progress.lineage.origin,
            lease=self.lease,
            window=3600.0,
        )
        sink = MemorySink(self._place, self.name, self._dice, self.loses)
        sink.hangs_at = self.hangs_at
        claims = Claims(index, ClaimSignals(self.telemetry, "memory"))
        signals = SinkSignals(self.telemetry, "memory")
        self.publisher = Publisher("memory", sink, self.journal, signals, Backoff(0.001, 0.01), claims)
        self._task = asyncio.ensure_future(self.publisher.run())

    async def accept(self, *drafts: Draft) -> None:
        await asyncio.gather(*(self.journal.append(each) for each in drafts))

    async def kill(self) -> None:
        """Ends the publisher wherever it stands; the journal is as after a crash, its counts perhaps unsaved."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.journal.close()

    async def until_drained(self) -> None:
        async with asyncio.timeout(WITHIN):
            while self.journal.progress.pending("memory"):
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.005)

    async def until_failing(self) -> None:
        async with asyncio.timeout(WITHIN):
            while self.publisher._failures < 2:
                await asyncio.sleep(0.005)

    def balance(self) -> tuple[int, int]:
        saved = self.journal.progress.saved("memory")
        counted = saved.published + saved.dead + saved.absorbed + self.journal.progress.pending("memory")
        return self.journal.progress.accepted("memory"), counted

    def facts(self, result: str) -> float:
        labels = {"sink": "memory", "result": result}
        return self.telemetry.metrics.registry.get_sample_value("relay_shared_index_facts_total", labels) or 0.0


@pytest.fixture
async def replicas(redis_process: RedisProcess, tmp_path: Path) -> AsyncIterator[list[Replica]]:
    """Three replicas that feed one place; running."""
    print(f"seed {SEED}")
    server = redis_process()
    await server.start()
    place = Place()
    made = [Replica(place, server, tmp_path / f"{n}.db", f"relay-{n}", random.Random(SEED + n)) for n in range(3)]
    for each in made:
        await each.start()
    yield made
    for each in made:
        await each.kill()


def place_of(replicas: Sequence[Replica]) -> Place:
    return replicas[0]._place


def server_of(replicas: Sequence[Replica]) -> RedisServer:
    return replicas[0]._server


async def drained(replicas: Sequence[Replica]) -> None:
    for each in replicas:
        await each.until_drained()
        accepted, counted = each.balance()
        assert accepted == counted, each.name


def wanted(tasks: Sequence[str]) -> Counter[str]:
    return Counter(f"{task}:succeeded" for task in tasks)


async def test_what_all_replicas_accept_is_published_once(replicas: list[Replica]) -> None:
    """P4 broken across replicas: a delivery that is repeated to another replica would be published again."""
    tasks = [str(n) for n in range(60)]
    for each in replicas:
        await each.accept(*map(draft, tasks))
    await drained(replicas)
    assert Counter(place_of(replicas).ids) == wanted(tasks)
    assert sum(each.journal.progress.saved("memory").absorbed for each in replicas) == 120
    assert sum(each.facts("absorbed") for each in replicas) == 120
    assert sum(each.facts("verified") for each in replicas) == 60


@pytest.fixture
def long_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine under load must not turn a slow answer of the index into unverified publishing, which may repeat."""
    monkeypatch.setattr(shared_index, "TIMEOUT", 30.0)


@pytest.mark.usefixtures("long_timeout")
async def test_kills_and_lost_replies_lose_and_repeat_nothing(replicas: list[Replica]) -> None:
    """P2 broken with several replicas: the crash of one would lose what another took for published, or repeat it."""
    dice = random.Random(SEED)
    tasks = [str(n) for n in range(400)]
    for each in replicas:
        each.loses = 0.1
    deliveries = [(task, n) for task in tasks for n in (0, 1, 2, 0, 1)]
    dice.shuffle(deliveries)
    for at, (task, n) in enumerate(deliveries):
        await replicas[n].accept(draft(task))
        if at % 40 == 20:
            victim = dice.choice(replicas[1:])
            await victim.kill()
            await victim.start()
    await drained(replicas)
    assert Counter(place_of(replicas).ids) == wanted(tasks)
    assert sum(each.facts("overrun") + each.facts("unverified") for each in replicas) == 0


async def test_contradictions_are_published_once_whichever_replica_sees_them(replicas: list[Replica]) -> None:
    """P4 broken: two endings of one task would be two endings for consumers, or the second would get lost."""
    dice = random.Random(SEED)
    tasks = [str(n) for n in range(40)]
    for task in tasks:
        deliveries = [(says, n) for says in "xyz" for n in range(3)]
        dice.shuffle(deliveries)
        await asyncio.gather(*(replicas[n].accept(draft(task, says=says)) for says, n in deliveries))
    await drained(replicas)
    kinds = Counter((event_id.partition(":")[0], kind) for event_id, kind in place_of(replicas).events)
    assert kinds == {(t, "relay.task.succeeded"): 1 for t in tasks} | {(t, "relay.task.conflicted"): 2 for t in tasks}
    assert max(Counter(place_of(replicas).ids).values()) == 1


async def test_while_the_index_is_away_events_are_published_and_counted(replicas: list[Replica]) -> None:
    """Events would wait for an index, or be dropped with it, as other tools do."""
    a, b, _ = replicas
    await a.accept(draft("before"))
    await drained(replicas)
    server_of(replicas).kill()
    await a.accept(*map(draft, "12345"))
    await drained(replicas)
    assert a.facts("unverified") == 5
    await server_of(replicas).start()
    async with asyncio.timeout(WITHIN):
        while a.facts("verified") < 2:  # the index is back, and gets what it has missed
            await a.accept(draft(f"probe-{asyncio.get_running_loop().time()}"))
            await asyncio.sleep(0.05)
    await b.accept(draft("before"), *map(draft, "12345"))
    await drained(replicas)
    assert max(Counter(place_of(replicas).ids).values()) == 1
    assert b.journal.progress.saved("memory").absorbed == 6


async def test_a_slow_index_is_not_waited_for(replicas: list[Replica]) -> None:
    """Publishing would stand still behind an index that hangs."""
    server_of(replicas).pause()
    try:
        await replicas[0].accept(*map(draft, "12345"))
        await drained(replicas)
    finally:
        server_of(replicas).resume()
    assert Counter(place_of(replicas).ids) == wanted("12345")
    assert replicas[0].facts("unverified") == 5


async def test_an_index_that_starts_empty_loses_no_event(replicas: list[Replica]) -> None:
    """What the index forgot would be taken for published."""
    await replicas[0].accept(draft("1"))
    await drained(replicas)
    server_of(replicas).cli("FLUSHALL")
    await replicas[0].accept(draft("2"))
    await replicas[1].accept(draft("1"), draft("2"))
    await drained(replicas)
    assert Counter(place_of(replicas).ids) == wanted(["1", "1", "2"])  # the honest limit: 1 is repeated, under its id


async def test_a_dead_replicas_claims_are_taken_over(replicas: list[Replica]) -> None:
    """What a replica was about to publish when it died for good would never be published by anybody."""
    a, b, _ = replicas
    await a.kill()
    a.hangs_at, a.lease = asyncio.Event(), 0.5
    await a.start()
    await a.accept(*map(draft, "123"))
    async with asyncio.timeout(WITHIN):
        await a.hangs_at.wait()  # it has claimed what it is about to publish
    await a.kill()
    await b.accept(*map(draft, "123"))
    await b.until_drained()
    assert Counter(place_of(replicas).ids) == wanted("123")
    a.hangs_at, a.lease = None, 30.0
    await a.start()
    await drained(replicas)
    assert Counter(place_of(replicas).ids) == wanted("123")
    assert a.journal.progress.saved("memory").absorbed == 3


async def test_a_replica_that_cannot_publish_holds_nobody_up(replicas: list[Replica]) -> None:
    """A replica that is cut off from a part of the broker would renew its claims forever, and stop all the others."""
    a, b, _ = replicas
    await a.kill()
    a.loses = 1.0  # whatever it sends is lost, and the lease is 30 s
    await a.start()
    await a.accept(*map(draft, "123"))
    await a.until_failing()
    await b.accept(*map(draft, "123"))
    async with asyncio.timeout(10):
        await b.until_drained()
    assert Counter(place_of(replicas).ids) == wanted("123")
    await a.kill()
    a.loses = 0.0
    await a.start()
    await drained(replicas)
    assert a.journal.progress.saved("memory").absorbed == 3


async def test_what_one_replica_keeps_as_a_dead_letter_is_settled_for_all(replicas: list[Replica]) -> None:
    """An event that the sink refuses would become a dead letter on each replica, and be replayed as often."""
    for each in replicas:
        await each.accept(draft("good"), draft("bad", data=b'"bad"'))
    await drained(replicas)
    letters = [letter for each in replicas for letter in await letters_in(each.journal)]
    assert len(letters) == 1
    assert Counter(place_of(replicas).ids) == wanted(["good"]) + Counter([letters[0].id])


async def test_a_replay_is_published_although_the_fact_is_known(replicas: list[Replica]) -> None:
    """A dead letter could be replayed, and would be skipped as a repetition of itself."""
    await replicas[0].accept(draft("1"))
    await drained(replicas)
    await replicas[0].accept(draft("1")._replace(key=b"replay".ljust(16), sink="memory"))
    await drained(replicas)
    assert Counter(place_of(replicas).ids) == wanted(["1", "1"])


async def test_what_the_place_has_lost_comes_again(replicas: list[Replica]) -> None:
    """Events that the sink had acknowledged and lost would stay lost, because the index has them as published."""
    for each in replicas:
        await each.accept(*map(draft, "12345678"))
    await drained(replicas)
    for each in replicas:
        await each.kill()
    place = place_of(replicas)
    place.events.clear()
    place.checkpoints.clear()
    for each in replicas:
        await each.start()
    await drained(replicas)
    assert Counter(place.ids) == wanted("12345678")
