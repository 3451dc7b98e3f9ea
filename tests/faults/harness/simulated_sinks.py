"""Brokers in virtual time, and sinks that speak to them by the rules of the real ones.

The Kafka here is the classic protocol seen from outside: an epoch that InitProducerId raises, one open transaction, and
requests that may be lost, lose their answers, or land much later, in whatever transaction is open by then (Jepsen,
Bufstream 0.1.0: https://jepsen.io/analyses/bufstream-0.1.0). It is harsher than the real one in that it numbers no
records. The Redis is one script with compare-and-set, and may fall back to any earlier state of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from relay.core.event import Entry
from relay.core.sink import (
    Batch,
    Checkpoint,
    Limits,
    Outcome,
    Published,
    Refused,
    SinkFenced,
    SinkUnavailable,
    Withheld,
)

REQUEST_TIMEOUT = 5.0
"""Seconds after which a client gives a request up; it may land all the same."""

LATE = 30.0
"""Seconds by which a message may be late."""

PUBLISHED = Published()


class Refusal(Exception):
    """The broker refuses one of these records for good."""


class Stale(Exception):
    """A newer producer has taken over."""


@dataclass(slots=True)
class Network:
    """What lies between a sink and its broker. ``trouble``: the share of requests that something happens to."""

    dice: Random
    trouble: float = 0.0
    down: bool = False
    happened: dict[str, int] = field(default_factory=dict)
    _connections: int = 0

    def break_connections(self) -> None:
        """The server was replaced: what was on its way to the old one never reaches the new one."""
        self._connections += 1

    def _note(self, what: str) -> None:
        self.happened[what] = self.happened.get(what, 0) + 1

    async def ask(self, request: Callable[[], Any]) -> Any:
        """Raises ``SinkUnavailable`` where the sender cannot know what became of the request."""
        if self.down:
            self._note("connection refused")
            await asyncio.sleep(0.01)
            raise SinkUnavailable("unreachable", "?")
        roll = self.dice.random()
        if roll >= self.trouble:
            return request()
        fate = self.dice.randrange(5)
        if fate == 0:
            self._note("request lost")
        elif fate == 1:
            self._note("reply lost")
            _land(request)
        elif fate == 2:
            self._note("message late")
            asyncio.get_running_loop().call_later(
                self.dice.uniform(0, LATE), self._land_late, request, self._connections
            )
        elif fate == 3:
            self._note("slow answer")
            connection = self._connections
            await asyncio.sleep(self.dice.uniform(0, REQUEST_TIMEOUT))
            if connection != self._connections:
                raise SinkUnavailable("unreachable", "?")
            return request()
        else:
            self._note("connection reset")
            if self.dice.random() < 0.5:
                _land(request)
            raise SinkUnavailable("unreachable", "?")
        await asyncio.sleep(REQUEST_TIMEOUT)
        raise SinkUnavailable("timeout", "?")

    def _land_late(self, request: Callable[[], Any], connection: int) -> None:
        if connection == self._connections:
            _land(request)


def _land(request: Callable[[], Any]) -> None:
    """It reaches the broker; nobody hears what comes of it."""
    with suppress(Stale, Refusal):
        request()


@dataclass(slots=True)
class Kafka:
    """One partition, one transactional id, one checkpoint topic."""

    dice: Random
    refuses: Callable[[Entry], bool]
    log: list[Entry] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    owner: str = ""
    epoch: int = 0
    _open: list[Entry | Checkpoint] = field(default_factory=list)
    _completing: list[Entry | Checkpoint] = field(default_factory=list)

    def init_producer(self) -> int:
        """Ends what is open, completes what is decided, fences what is older."""
        self.complete()
        self._open = []
        self.epoch += 1
        return self.epoch

    def produce(self, epoch: int, records: Sequence[Entry | Checkpoint]) -> None:
        self._check(epoch)
        if any(isinstance(record, Entry) and self.refuses(record) for record in records):
            raise Refusal
        self._open += records

    def end(self, epoch: int) -> None:
        """Commits. The decision counts at once; what readers see may follow later."""
        self._check(epoch)
        self.complete()
        self._completing, self._open = self._open, []
        if self.dice.random() < 0.8:
            self.complete()

    def complete(self) -> None:
        """The markers of a decided transaction are written."""
        for record in self._completing:
            if isinstance(record, Checkpoint):
                self.checkpoint = record
            else:
                self.log.append(record)
        self._completing = []

    def claim(self, epoch: int, instance: str) -> None:
        """The record that names the owner, in a transaction of its own."""
        self._check(epoch)
        self.owner = instance

    def _check(self, epoch: int) -> None:
        if epoch != self.epoch:
            raise Stale

    def rewind(self) -> bool:
        """Kafka loses nothing that it has committed."""
        return False


class KafkaSink:
    """By the rules of ``relay.sinks.kafka.sink``: any doubt ends the producer, and the checkpoint is read after the
    next one has taken over."""

    def __init__(self, broker: Kafka, network: Network, instance: str) -> None:
        self.limits = Limits(8, 1 << 20)
        self._broker, self._network, self._instance = broker, network, instance
        self._epoch: int | None = None
        self._settled: Checkpoint | None = None
        self._opened = self._owner = False

    @property
    def has_claimed(self) -> bool:
        return self._owner

    async def open(self) -> Checkpoint | None:
        await self.close()
        self._settled = await self._start()
        self._opened = True
        return self._settled

    async def _start(self) -> Checkpoint | None:
        ask, broker = self._network.ask, self._broker
        if self._owner:
            self._check(await ask(lambda: broker.owner))
        epoch = await self._take_over()
        checkpoint: Checkpoint | None = None
        checkpoint, owner = await ask(lambda: (broker.checkpoint, broker.owner))
        if self._owner:
            self._check(owner)
        self._epoch, self._owner = epoch, True
        return checkpoint

    async def _take_over(self) -> int:
        epoch: int = await self._network.ask(self._broker.init_producer)
        if not self._owner:
            try:
                await self._network.ask(lambda: self._broker.claim(epoch, self._instance))
            except Stale:
                raise SinkUnavailable("fenced", "?") from None
        return epoch

    def _check(self, owner: str) -> None:
        if owner != self._instance:
            raise SinkFenced("?")

    async def publish(self, batch: Batch) -> Sequence[Outcome]:
        if not self._opened:
            raise SinkUnavailable("not_open", "?")
        try:
            if self._epoch is None and await self._start() != self._settled:
                raise SinkUnavailable("fenced", "?")
            assert self._epoch is not None
            return await self._transact(self._epoch, batch)
        except Stale:
            await self.close()
            raise SinkUnavailable("fenced", "?") from None
        except BaseException:
            await self.close()
            raise

    async def _transact(self, epoch: int, batch: Batch) -> Sequence[Outcome]:
        ask, broker = self._network.ask, self._broker
        try:
            await ask(lambda: broker.produce(epoch, batch.entries))
        except Refusal:
            self._epoch = None  # what was open is aborted by the next producer
            return self._single_out(batch)
        await ask(lambda: broker.produce(epoch, [batch.checkpoint]))
        await ask(lambda: broker.end(epoch))
        self._settled = batch.checkpoint
        return [PUBLISHED] * len(batch.entries)

    def _single_out(self, batch: Batch) -> Sequence[Outcome]:
        """Record batches are refused, not records: it may be impossible to say which one it was."""
        if self._network.dice.random() < 0.5:
            return [Withheld(suspect=True, code="too_large")] * len(batch.entries)
        return [Refused("too_large", "?") if self._broker.refuses(entry) else Withheld() for entry in batch.entries]

    async def close(self) -> None:
        self._opened = False
        self._epoch = None


@dataclass(slots=True)
class Redis:
    """One stream and one checkpoint hash; its history, to any point of which a failover may take it back."""

    dice: Random
    refuses: Callable[[Entry], bool]
    log: list[Entry] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    claim_of: tuple[str, int] = ("", 0)
    _history: list[tuple[int, Checkpoint | None, tuple[str, int]]] = field(default_factory=list)

    def claim(self, instance: str, epoch: int | None) -> tuple[int, Checkpoint | None]:
        if epoch is not None and self.claim_of != (instance, epoch) and self.claim_of[1] >= epoch:
            raise Stale
        self.claim_of = (instance, self.claim_of[1] + 1 if epoch is None else epoch)
        return self.claim_of[1], self.checkpoint

    def publish(self, instance: str, epoch: int, held: Checkpoint | None, batch: Batch) -> bool:
        """Whether the checkpoint was where the sender believed it to be; else nothing is written."""
        if self.claim_of != (instance, epoch) and self.claim_of[1] >= epoch:
            raise Stale
        if self.claim_of != (instance, epoch) or self.checkpoint != held:
            return False
        self._history.append((len(self.log), self.checkpoint, self.claim_of))
        self.log += batch.entries
        self.checkpoint = batch.checkpoint
        return True

    def rewind(self) -> bool:
        """A failover to a replica that was behind: stream and checkpoint lose the same end."""
        if not self._history:
            return False
        at = self.dice.randrange(max(0, len(self._history) - 5), len(self._history))
        length, self.checkpoint, self.claim_of = self._history[at]
        del self.log[length:], self._history[at:]
        return True

    def complete(self) -> None:
        """There is nothing that could still be on its way inside."""


class RedisSink:
    """By the rules of ``relay.sinks.redis.sink``: a claim with an epoch, and compare-and-set."""

    def __init__(self, broker: Redis, network: Network, instance: str) -> None:
        self.limits = Limits(8, 1 << 20)
        self._broker, self._network, self._instance = broker, network, instance
        self._epoch: int | None = None
        self._held: Checkpoint | None = None
        self._is_open = False

    @property
    def has_claimed(self) -> bool:
        return self._epoch is not None

    async def open(self) -> Checkpoint | None:
        self._is_open = False
        try:
            self._epoch, self._held = await self._network.ask(lambda: self._broker.claim(self._instance, self._epoch))
        except Stale:
            raise SinkFenced("?") from None
        self._is_open = True
        return self._held

    async def publish(self, batch: Batch) -> Sequence[Outcome]:
        if not self._is_open or self._epoch is None:
            raise SinkUnavailable("not_open", "?")
        if any(map(self._broker.refuses, batch.entries)):
            return [Refused("invalid", "?") if self._broker.refuses(e) else Withheld() for e in batch.entries]
        epoch, held = self._epoch, self._held
        try:
            written = await self._network.ask(lambda: self._broker.publish(self._instance, epoch, held, batch))
        except Stale:
            raise SinkFenced("?") from None
        except BaseException:
            self._is_open = False
            raise
        if not written:
            self._is_open = False
            raise SinkUnavailable("checkpoint_moved", "?")
        self._held = batch.checkpoint
        return [PUBLISHED] * len(batch.entries)

    async def check(self) -> None:
        if self._held is not None:
            await self.publish(Batch([], self._held))

    async def close(self) -> None:
        self._is_open = False
