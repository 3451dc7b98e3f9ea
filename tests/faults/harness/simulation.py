"""One seed: a relay's publishers and journal, brokers and everything that may happen to them, in virtual time.

Real are the publisher, the journal and its writer with all decisions below them. In the place of the store stands the
twin that R9 holds the real one to, since a disk cannot sync in virtual time; brokers and sinks are in
``simulated_sinks.py``. The same seed gives the same run, to the last step.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from relay.core.event import DEAD_LETTERS, TASKS, Draft, Entry, Event
from relay.core.retry import Backoff
from relay.core.sink import SinkFenced
from relay.journal import journal, writer
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal, Policy
from relay.publishing.publisher import Publisher
from tests.faults.harness.simulated_sinks import LATE, REQUEST_TIMEOUT, Kafka, KafkaSink, Network, Redis, RedisSink
from tests.faults.harness.twin import Disk, TwinReaders, TwinStore
from tests.faults.harness.virtual_time import AtOnce, VirtualLoop

STEPS = 100
DRAIN = 3000.0
"""Seconds of virtual time, without any further trouble, in which everything must be published."""

NOTICED_WITHIN = 30.0
"""Seconds in which an idle relay notices that a sink lost events, and begins to publish them again."""

SUBJECTS = ("task-1", "task-2", "task-3", "task-4")
TIME = "2026-01-01T00:00:00.000Z"
BACKOFF = Backoff(first=0.1, most=15.0)


_NOTHING = nullcontext()


class Quiet:
    """Signals of the journal and of a sink, counted by name."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., AbstractContextManager[None]]:
        def hear(*_: Any, **__: Any) -> AbstractContextManager[None]:
            self.heard[name] += 1
            return _NOTHING  # some signals last as long as what they report

        setattr(self, name, hear)
        return hear


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run is built of; a planted bug replaces one of them."""

    publisher: type[Publisher] = Publisher
    kafka: type[KafkaSink] = KafkaSink
    redis: type[RedisSink] = RedisSink


@dataclass(slots=True)
class Report:
    """What came of one seed; all empty when the promises hold."""

    seed: int
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    acknowledged: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    trace: list[tuple[Any, ...]] = field(default_factory=list)
    """Each step: the time, what happened, the journal's last offset, and how far each broker was."""

    @property
    def holds(self) -> bool:
        return not (self.lost or self.repeated or self.reordered or self.wrong)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: lost {self.lost}, repeated {self.repeated}, out of order {self.reordered}, {self.wrong}"
        )


class Relay:
    """One process: it ends when it is killed, or by itself when it is fenced."""

    def __init__(self, world: World, disk: Disk, instance: str) -> None:
        self.store = TwinStore(disk, world.new_id)
        self.journal = Journal(self.store, list(world.brokers), Policy(), Quiet())  # type: ignore[arg-type]
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._sinks: list[Any] = []
        self.signals: dict[str, Quiet] = {}
        for label, broker in world.brokers.items():
            kind = world.parts.kafka if isinstance(broker, Kafka) else world.parts.redis
            sink = kind(broker, world.networks[label], instance)  # type: ignore[arg-type]
            self._sinks.append(sink)
            heard = self.signals[label] = Quiet()
            publisher = world.parts.publisher(label, sink, self.journal, heard, BACKOFF)  # type: ignore[arg-type]
            self.tasks[label] = asyncio.ensure_future(publisher.run())

    def ended(self) -> list[BaseException | None]:
        """Why publishers ended by themselves."""
        return [task.exception() for task in self.tasks.values() if task.done() and not task.cancelled()]

    def owns_all(self) -> bool:
        """Whether it has taken over every sink: only then can it notice later that somebody else has."""
        return all(sink.has_claimed for sink in self._sinks)

    def has_opened_all(self) -> bool:
        """Whether it knows where each sink is."""
        return all(signals.heard["sink_opened"] for signals in self.signals.values())

    async def kill(self) -> None:
        """At once: nothing is finished. A request that is on its way may still arrive."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, parts: Parts) -> None:
        self.dice = random.Random(seed)
        self.parts = parts
        self.report = Report(seed)
        self.brokers: dict[str, Any] = {}
        for label in self.dice.choice((("kafka",), ("kafka",), ("redis",), ("redis",), ("kafka", "redis"))):
            kind = Kafka if label == "kafka" else Redis
            self.brokers[label] = kind(self.dice, lambda entry, label=label: self._is_poison(label, entry))
        self.networks = {label: Network(self.dice, self.dice.choice((0.0, 0.1, 0.4))) for label in self.brokers}
        self._poison_share = self.dice.choice((0.0, 0.02, 0.1))
        self._poison: set[tuple[str, str]] = set()
        self._ids = 0
        self.order: dict[str, int] = {}
        self._acknowledged: list[str] = []
        self._snapshots: list[tuple[Disk, int]] = []
        self._zombies: list[Relay] = []
        self._forgotten: set[tuple[str, str]] = set()
        """Refused events, and dead letters, of a volume that a copy replaced: it may make those letters again."""
        self.disk = Disk("journal-0")
        self.relay: Relay

    def new_id(self) -> str:
        """For a journal or a process."""
        self._ids += 1
        return f"id-{self._ids}"

    def _is_poison(self, label: str, entry: Entry) -> bool:
        return (label, entry.event.id) in self._poison

    # -- what may happen ---------------------------------------------------------------------------------------

    async def live(self) -> None:
        """A hundred steps, then peace, then judgement."""
        actions, weights = zip(*self._actions(), strict=True)
        self.relay = Relay(self, self.disk, self.new_id())
        for act in self.dice.choices(actions, weights, k=STEPS):
            self._note(act.__name__)
            await act()
            await self._restart_what_ended()
        await self._make_peace()
        self._judge()
        for relay in (self.relay, *self._zombies):
            await relay.kill()

    def _note(self, act: str) -> None:
        ends = [(len(broker.log), broker.checkpoint) for broker in self.brokers.values()]
        self.report.trace.append((asyncio.get_running_loop().time(), act, self.relay.journal.events.last_offset, ends))

    def _actions(self) -> Sequence[tuple[Callable[[], Awaitable[None]], int]]:
        return (
            (self.accept, 55),
            (self.accept_unheard, 3),
            (self.wait, 22),
            (self.trouble, 5),
            (self.cut_off, 2),
            (self.fill_disk, 2),
            (self.crash, 3),
            (self.wake_zombie, 2),
            (self.copy_disk, 3),
            (self.restore_copy, 1),
            (self.fall_back, 3),
        )

    def _draft(self) -> Draft:
        number = len(self.order) + 1
        id = f"event-{number}"
        self.order[id] = number
        for label in self.brokers if self._poison_share else ():
            if self.dice.random() < self._poison_share:
                self._poison.add((label, id))
        only = self.dice.choice(list(self.brokers)) if self.dice.random() < 0.05 else None
        event = Event(TASKS, "relay.task.succeeded", id, "/novita/tasks", self.dice.choice(SUBJECTS), TIME, b"{}")
        return Draft(event, id.encode(), sink=only)

    async def accept(self) -> None:
        """Some deliveries, each acknowledged once it is on disk."""
        drafts = [self._draft() for _ in range(self.dice.randrange(1, 4))]
        for made, receipt in [(made, self.relay.journal.append(made)) for made in drafts]:
            try:
                await receipt
            except JournalUnavailable:
                continue
            self._acknowledged.append(made.event.id)

    async def accept_unheard(self) -> None:
        """A delivery whose sender does not wait for the answer."""
        self.relay.journal.append(self._draft()).add_done_callback(lambda done: done.exception())

    async def wait(self) -> None:
        """Some time passes."""
        await asyncio.sleep(self.dice.expovariate(0.3))

    async def trouble(self) -> None:
        """The network gets better or worse."""
        for network in self.networks.values():
            network.trouble = self.dice.choice((0.0, 0.0, 0.05, 0.2, 0.5))

    async def cut_off(self) -> None:
        """A broker goes, or comes back."""
        network = self.dice.choice(list(self.networks.values()))
        network.down = not network.down and self.dice.random() < 0.6

    async def fill_disk(self) -> None:
        """The disk under the journal is full, or has space again."""
        self.relay.store.full = not self.relay.store.full
        self.report.happened["full disk"] += self.relay.store.full

    async def crash(self) -> None:
        """``kill -9`` and a new start on the same disk."""
        self.report.happened["kill -9"] += 1
        await self.relay.kill()
        self._start()

    async def wake_zombie(self) -> None:
        """A process that was taken for dead goes on publishing beside the one in its place."""
        if not self.relay.owns_all():
            return
        self.report.happened["zombie"] += 1
        self.relay.store.full = True  # the disk is its successor's
        self.disk = self.disk.copied()
        self._zombies.append(self.relay)
        self._start()

    async def copy_disk(self) -> None:
        """Somebody takes a copy of the volume."""
        self._snapshots.append((self.disk.copied(), len(self._acknowledged)))

    async def restore_copy(self) -> None:
        """An older copy is put back: what was acknowledged since is forgotten.

        Once per copy, and the sinks hear of it before the next restart: docs/adr/0003-damaged-journals.md says why.
        """
        if not self._snapshots:
            return
        self.report.happened["older copy of the journal"] += 1
        for relay in (self.relay, *self._zombies):
            await relay.kill()
        # What they had sent arrives first: it could fence the relay on the copy, and have it restarted too early.
        await asyncio.sleep(LATE + REQUEST_TIMEOUT)
        self._forgotten |= {(label, id) for label in self.brokers for id in (*self._dead(label), *self.disk.letters)}
        self.disk, acknowledged = self.dice.choice(self._snapshots)
        self._snapshots.clear()
        del self._acknowledged[acknowledged:]
        self._start()
        for network in self.networks.values():
            network.down = False
        while not self.relay.has_opened_all() and not self.report.wrong:
            await self.accept()
            await asyncio.sleep(self.dice.random())
            await self._restart_what_ended()

    async def fall_back(self) -> None:
        """A Redis loses its newest writes at a failover."""
        for label, broker in self.brokers.items():
            if broker.rewind():
                self.report.happened["failover with loss"] += 1
                self.networks[label].break_connections()

    def _start(self) -> None:
        self.relay = Relay(self, self.disk, self.new_id())

    async def _restart_what_ended(self) -> None:
        """What a supervisor does. A relay may end because it was fenced, and for no other reason."""
        for error in self.relay.ended():
            if not isinstance(error, SinkFenced):
                self.report.wrong.append(f"a publisher ended: {error!r}")
            await self.relay.kill()
            self._start()
            return

    # -- judgement ---------------------------------------------------------------------------------------------

    async def _make_peace(self) -> None:
        """All trouble ends; what is on its way arrives; then everything must be published in time."""
        for network in self.networks.values():
            network.trouble, network.down = 0.0, False
        self.relay.store.full = False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN
        await asyncio.sleep(LATE + REQUEST_TIMEOUT)
        await self._until_published(deadline)
        await self.fall_back()  # in a quiet hour
        await asyncio.sleep(NOTICED_WITHIN)
        await self._until_published(deadline)
        for broker in self.brokers.values():
            broker.complete()

    async def _until_published(self, deadline: float) -> None:
        await self._restart_what_ended()
        while any(map(self.relay.journal.progress.pending, self.brokers)):
            if asyncio.get_running_loop().time() > deadline:
                self.report.wrong.append("it never catches up")
                return
            await asyncio.sleep(1.0)
            await self._restart_what_ended()

    def _judge(self) -> None:
        report = self.report
        report.acknowledged = len(self._acknowledged)
        for network in self.networks.values():
            report.happened.update(network.happened)
        held = {entry.event.id for entry in self.disk.events.values()}
        report.lost += [f"{id} from the journal" for id in self._acknowledged if id not in held]
        for label, broker in self.brokers.items():
            self._judge_sink(label, broker.log)
            self._judge_balance(label)

    def _judge_sink(self, label: str, log: Sequence[Entry]) -> None:
        counts = Counter(entry.event.id for entry in log)
        dead = self._dead(label)
        wanted = [entry.event for entry in self.disk.events.values() if entry.sink in (None, label)]
        missing = [event.id for event in wanted if event.id not in counts and event.id not in dead]
        self.report.lost += [f"{id} on {label}" for id in missing if (label, id) not in self._forgotten]
        twice = [id for id, count in counts.items() if count > 1 and (label, id) not in self._forgotten]
        self.report.repeated += [f"{id} on {label}" for id in twice]
        self.report.wrong += [f"{e.id} is on {label} and dead" for e in wanted if e.id in counts and e.id in dead]
        newest: dict[str, int] = {}
        for entry in log:
            event = entry.event
            if event.topic == DEAD_LETTERS:
                continue
            if self.order[event.id] < newest.get(event.subject, 0):
                self.report.reordered.append(f"{event.id} on {label}")
            newest[event.subject] = self.order[event.id]

    def _dead(self, label: str) -> set[str]:
        letters = (letter for letter, *_ in self.disk.letters.values() if letter.origin == label)
        return {letter.event.id for letter in letters if letter.event is not None}

    def _judge_balance(self, label: str) -> None:
        saved, accepted = self.relay.journal.progress.saved(label), self.relay.journal.progress.accepted(label)
        counted = saved.published + saved.dead + saved.absorbed + self.relay.journal.progress.pending(label)
        if accepted != counted:
            self.report.wrong.append(f"{label}: {accepted} accepted, {counted} accounted for: {saved}")


@contextmanager
def _work_at_once() -> Iterator[None]:
    usual = writer.Worker, journal.Readers
    writer.Worker, journal.Readers = AtOnce, TwinReaders  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        writer.Worker, journal.Readers = usual  # type: ignore[misc]


def simulate(seed: int, parts: Parts | None = None) -> Report:
    """Runs one seed. Everything in it, the jitter of retries included, comes from the seed."""
    random.seed(seed)
    gc.disable()  # a seed makes little garbage, and looking for it takes a tenth of the time
    loop = VirtualLoop()
    world = World(seed, parts or Parts())
    with _work_at_once():
        try:
            loop.run_until_complete(world.live())
        except JournalBroken as error:
            world.report.wrong.append(f"the journal broke: {error!r}")
        finally:
            loop.close()
            gc.enable()
    return world.report
