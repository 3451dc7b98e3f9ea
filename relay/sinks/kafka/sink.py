"""Kafka: events exactly once, by one transactional producer per relay identity.

Each batch is one transaction that also holds the checkpoint as a record (docs/adr/0002-kafka-checkpoint.md). Any doubt
between begin and the broker's word that it is committed ends the producer; the next one starts with InitProducerId,
which ends what was open, and reads the checkpoint again.

Consumers must read with ``isolation.level=read_committed``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from relay.core.event import TOPICS
from relay.core.publishing.batching import longest
from relay.core.publishing.lineage import succession
from relay.core.sink import (
    Advice,
    Batch,
    Checkpoint,
    Identity,
    Inheritance,
    Limits,
    Name,
    Outcome,
    Published,
    Refused,
    SinkFenced,
    SinkUnavailable,
    Step,
    Withheld,
    without_topic,
)
from relay.sinks.kafka.advice import advice_on, durability
from relay.sinks.kafka.checkpoint import Ledger, read_back, topic_name
from relay.sinks.kafka.client import Session, answered
from relay.sinks.kafka.config import Config
from relay.sinks.kafka.errors import RECORD_TOO_LARGE, unavailable
from relay.sinks.kafka.handshake import greet
from relay.sinks.kafka.logins import Login, Logins, login_until, options_of
from relay.sinks.kafka.records import Packer, RecordBatch, render_binary, render_structured
from relay.sinks.kafka.topics import ensure_topics, exists
from relay.sinks.kafka.transaction import at_once, is_too_large, transact

_SLICE = 200
"""Events packed before others on the event loop get their turn: about two milliseconds."""

_REQUEST = 1 << 20
"""Bytes of data that are sent before the next ones are packed. The client copies a request several times, and nothing
else runs meanwhile: of 4 MiB that takes 15 ms, and longer per event, since no cache holds them. And the broker begins
early."""

_SMALLEST_BATCH = 16 * 1024


def transactional_id(config: Config, name: Name) -> str:
    """The producer of a name; its prefix is that of the topics, so that one ACL covers both."""
    return f"{config.prefix}{name.identity}.{name.label}"


class KafkaSink:
    """The ports ``Sink``, ``Shared``, ``Renamable``, ``Reconfigurable`` and ``Advising`` over Kafka.

    The transactional id is prefix, identity and label: one producer can hold it.
    """

    def __init__(self, config: Config, identity: Identity, topics: Sequence[str] = TOPICS) -> None:
        self.limits = Limits(config.max_batch_events, config.max_batch_bytes, config.publish_timeout)
        self.scope = f"{config.label}:{config.prefix}"
        most = longest(config.publish_timeout, config.max_request_size)
        self.in_doubt = most + config.transaction_timeout + most - config.publish_timeout
        self._config = config
        self._identity = identity
        self._topics = topics
        self._names = {topic: config.name_of(topic) for topic in topics}
        self._transactional_id = transactional_id(config, Name(identity.name, config.label))
        self._ledger = Ledger(topic_name(config.prefix, identity), identity, config.label)
        self._render = render_binary if config.content_mode == "binary" else render_structured
        self._batch_size = config.max_request_size
        self._session: Session | None = None
        self._logins = Logins(self._log_in, self._renewed)
        self._in_transaction = False
        self._opened = False
        self._owner = False
        self._settled: Checkpoint | None = None

    async def open(self) -> Checkpoint | None:
        """Fence predecessors, end what they left open, and read the checkpoint.

        Raises ``SinkFenced`` where another process has taken over this identity since this one owned it.
        """
        await self.close()
        self._settled = await self._start()
        self._opened = True
        return self._settled

    async def glance(self) -> Checkpoint | None:
        """The checkpoint as it is committed now; fences nobody. Raises ``SinkUnavailable``."""
        try:
            async with asyncio.timeout(self._config.open_timeout):
                options = (await self._logins.current()).options
                if not await exists(self._config, options, self._ledger.topic):
                    return None
                return (await read_back(self._ledger, options)).checkpoint
        except Exception as error:
            raise self._unavailable(error, "reading the checkpoint") from error

    async def ready(self) -> None:
        """Have a producer, which may take ``open_timeout``. Raises ``SinkUnavailable``."""
        await self._producing()

    async def publish(self, batch: Batch) -> Sequence[Outcome]:
        """One transaction. Raises ``SinkUnavailable`` if what became of it is unknown."""
        if (refused := without_topic(batch, self._topics)) is not None:
            return refused
        session = await self._producing(batch.seconds)
        self._in_transaction = True
        try:
            return await self._publish(session, batch)
        except BaseException:
            await self.close()
            raise
        finally:
            self._in_transaction = False

    def reconfigure(self, config: Config) -> None:
        """With other credentials from the next transaction on; the same ones may stand in files that have changed."""
        self._config = config
        if config.security_protocol != "PLAINTEXT":
            self._logins.forget()

    async def take_over(self, former: Name, inheritance: Inheritance) -> Checkpoint | None:
        """Carries the checkpoint over from another identity or label, whose producer is fenced first: what it left open
        is ended before its checkpoint is read, and what it still sends is refused."""
        if not self._opened:
            raise SinkUnavailable("not_open", "The Kafka sink is not open.")
        try:
            async with asyncio.timeout(self._config.open_timeout):
                taken = await self._succeed(former, inheritance)
        except Exception as error:
            await self.close()
            # Not _unavailable: the transactional id may be the former one.
            doing = f"taking over the checkpoint of {former.identity}"
            raise unavailable(error, doing, self._config.principal) from error
        self._settled = taken or self._settled
        return taken

    async def _succeed(self, former: Name, inheritance: Inheritance) -> Checkpoint | None:
        login = await self._logins.current()
        options = login.options
        identity = Identity(former.identity, self._identity.instance)
        ledger = Ledger(topic_name(self._config.prefix, identity), identity, former.label)
        if not await exists(self._config, options, ledger.topic):
            return None
        session = Session(
            self._config,
            transactional_id(self._config, former),
            login,
            self._batch_size,
            self._config.publish_timeout,
        )
        try:
            await session.producer.start()
            marker = await self._write(session, ledger.topic, ledger.marker_record(claim=False))
            found = await read_back(ledger, options, marker + 1)
            place = found.checkpoint and found.checkpoint.of(inheritance.journal_id)
            if found.checkpoint is None or place is None:
                return None
            written = succession(found.checkpoint, place, inheritance, self._settled)
            records = [(self._ledger.topic, self._ledger.checkpoint_record(written.heir))]
            if written.former is not None:
                records.append((ledger.topic, ledger.checkpoint_record(written.former, owner=found.owner)))
            await self._commit(session, records)
            return written.heir
        finally:
            await session.discard(self._config.close_timeout)

    async def advice(self) -> Sequence[Advice]:
        """Whether acknowledged events outlive the loss of a broker. Silent where the relay may not ask."""
        if not self._opened:
            raise SinkUnavailable("not_open", "The Kafka sink is not open.")
        names = [*self._names.values(), self._ledger.topic]
        try:
            async with asyncio.timeout(self._config.open_timeout):
                found = await durability((await self._logins.current()).options, names)
                return advice_on(found, self._config.partitions)
        except Exception as error:
            raise self._unavailable(error, "asking for the topics' settings") from error

    def steps(self) -> Sequence[Step]:
        """To the broker, through the login, to a transaction and the right to write."""
        from relay.sinks.kafka.steps import Way  # only people who look for what is wrong need it

        way = Way(self._config, f"relay-{self._identity.name}")
        return [*way.steps(), ("produce", self._produce), ("authorize", self._authorize)]

    async def _produce(self) -> str:
        await self.open()
        return f"committed a transaction as {self._transactional_id}, in {self._ledger.topic}"

    async def _authorize(self) -> str:
        from relay.sinks.kafka.steps import may_write

        session = await self._producing()
        try:
            return await may_write(session, self._names, self._config.publish_timeout)
        except Exception as error:
            raise self._unavailable(error, "taking topics into a transaction") from error

    async def close(self) -> None:
        """Let go of the producer; an open transaction is left to the next opening, or to its timeout."""
        self._opened = False
        self._logins.forget()
        await self._discard()

    async def _discard(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.discard(self._config.close_timeout)

    async def _producing(self, seconds: float = 0.0) -> Session:
        """The producer, or a new one: after one that was given up although nothing is unknown, or had less time."""
        if not self._opened:
            raise SinkUnavailable("not_open", "The Kafka sink is not open.")
        try:
            if self._session is not None and self._session.seconds >= seconds:
                return await self._logged_in(self._session)
            await self._discard()
            if await self._start(seconds) != self._settled:
                raise SinkUnavailable("fenced", "The checkpoint was moved by another process.")
        except BaseException:
            await self.close()
            raise
        assert self._session is not None
        return self._session

    async def _logged_in(self, session: Session) -> Session:
        """With what is good now: it may have been renewed since the last batch."""
        login = self._logins.held
        if login is None:
            async with asyncio.timeout(self._config.open_timeout):
                login = await self._logins.current()
        if session.login is not login:
            session.reconnect(login)
        return session

    def _renewed(self, login: Login) -> None:
        """Not in the middle of a transaction: the next one begins with it."""
        if self._session is not None and not self._in_transaction:
            self._session.reconnect(login)

    async def _log_in(self) -> Login:
        """A login that a broker has taken, just now; without TLS and SASL there is nothing that it could refuse."""
        config = self._config
        try:
            async with asyncio.timeout(config.open_timeout):
                options, lifetime = await options_of(config, f"relay-{self._identity.name}")
                secured = config.security_protocol != "PLAINTEXT"
                greeting = await answered(greet(options), options) if secured else None
        except Exception as error:
            raise self._unavailable(error, "logging in to Kafka") from error
        now = asyncio.get_running_loop().time()
        return login_until(options, now, lifetime, greeting.session_lifetime if greeting else None)

    async def _start(self, seconds: float = 0.0) -> Checkpoint | None:
        self._in_transaction = True
        try:
            async with asyncio.timeout(self._config.open_timeout):
                return await self._take_over(max(seconds, self._config.publish_timeout))
        except BaseException as error:
            await self._discard()
            if isinstance(error, Exception) and not isinstance(error, SinkFenced):
                raise self._unavailable(error, "opening the Kafka sink") from error
            raise
        finally:
            self._in_transaction = False

    async def _take_over(self, seconds: float) -> Checkpoint | None:
        """The order matters: InitProducerId first, then read (reliability trap F). Only topics are looked at before.

        What is read up to is a record of our own, committed by the new producer: no stale leader, no transaction
        that is still being completed can hide a newer checkpoint from this read.
        """
        login = await self._logins.current()
        options = login.options
        await ensure_topics(self._config, options, self._topics, self._ledger.topic)
        if self._owner:
            self._check_owner((await read_back(self._ledger, options)).owner)
        session = Session(self._config, self._transactional_id, login, self._batch_size, seconds)
        self._session = session
        await session.producer.start()
        for name in self._names.values():
            await session.producer.partitions_for(name)
        # A marker of our own: it claims the identity or, when that is ours already, only marks the place.
        marker = await self._write(session, self._ledger.topic, self._ledger.marker_record(claim=not self._owner))
        found = await read_back(self._ledger, options, marker + 1)
        if self._owner:
            self._check_owner(found.owner)
        self._owner = True
        return found.checkpoint

    def _check_owner(self, owner: str | None) -> None:
        if owner is not None and owner != self._identity.instance:
            raise SinkFenced(
                f"Another process publishes to Kafka as {self._identity.name}.",
                hint="Give each replica its own identity, or stop this one.",
            )

    async def _write(self, session: Session, topic: str, record: tuple[bytes, bytes]) -> int:
        written = await self._commit(session, [(topic, record)])
        if written[0].offset < 0:
            raise SinkUnavailable("client_error", "Kafka did not report where the marker was written.")
        return int(written[0].offset)

    async def _commit(self, session: Session, records: Sequence[tuple[str, tuple[bytes, bytes]]]) -> Sequence[Any]:
        """One transaction of records in checkpoint topics; their metadata. Raises the first refusal."""
        batches: dict[str, RecordBatch] = {}
        for topic, (key, value) in records:
            batch = batches.setdefault(topic, RecordBatch(topic, 0, session.producer.create_batch()))
            batch.builder.append(timestamp=None, key=key, value=value)
        async with asyncio.timeout(self._config.publish_timeout):
            written = await transact(session, at_once(list(batches.values())))
        for _, result in written:
            if isinstance(result, BaseException):
                raise result
        return [result for _, result in written]

    def _unavailable(self, error: BaseException, doing: str) -> SinkUnavailable:
        return unavailable(error, doing, self._config.principal, self._transactional_id)

    async def _publish(self, session: Session, batch: Batch) -> Sequence[Outcome]:
        if not session.alive:
            raise SinkUnavailable("client_error", "The Kafka producer has died.")
        packer = self._packer(session)
        checkpoint = self._checkpoint_batch(session, batch)
        lost_before = session.lost_connections
        try:
            async with asyncio.timeout(max(self._config.publish_timeout, batch.seconds)):
                sent = await transact(session, self._requests(packer, batch, checkpoint))
        except _Oversized as error:
            if error.begun:
                await self._discard()
            return _refuse(batch, packer.too_large)
        except Exception as error:
            raise self._unavailable(error, "publishing to Kafka") from error
        failed = [(which, result) for which, result in sent if isinstance(result, BaseException)]
        for which, failure in failed:
            if which is checkpoint:
                raise self._unavailable(failure, "writing the checkpoint to Kafka") from failure
        if failed:
            await self._discard()
            return self._single_out(batch, [which for which, failure in failed if is_too_large(failure)])
        self._settled = batch.checkpoint
        if session.lost_connections != lost_before:
            await self._discard()
        return [_PUBLISHED] * len(batch.entries)

    def _packer(self, session: Session) -> Packer:
        return Packer(
            self._names,
            self._partitions(session),
            self._render,
            session.producer.create_batch,
            self._config.max_request_size,
        )

    async def _requests(
        self, packer: Packer, batch: Batch, checkpoint: RecordBatch
    ) -> AsyncGenerator[Sequence[RecordBatch], None]:
        """The record batches, in the order in which they are to be sent, and the checkpoint with the last ones.

        Packed in slices: thousands of events at once would hold up every stream that is being forwarded. Raises
        ``_Oversized``: where an event may be too large, before there is anything to send.
        """
        # An event that may be too large keeps the others from being sent before it is packed: refused then, it costs no
        # producer. What is sent already can only be abandoned together with the one that sent it.
        sizes = [len(entry.event.data) for entry in batch.entries]
        enough = _REQUEST if max(sizes, default=0) <= self._config.max_request_size // 2 else sum(sizes) + 1
        packed = begun = 0
        for start in range(0, len(batch.entries), _SLICE):
            if start:
                await asyncio.sleep(0)
            packer.add(batch.entries[start : start + _SLICE], start)
            packed += sum(sizes[start : start + _SLICE])
            if packed < enough or start + _SLICE >= len(batch.entries):
                continue
            if packer.too_large:
                break
            yield packer.take()
            packed, begun = 0, start + 1
        if packer.too_large:
            raise _Oversized(begun=begun > 0)
        yield [*packer.take(), checkpoint]

    def _partitions(self, session: Session) -> Mapping[str, int]:
        """As the metadata has it now: a topic may be given more partitions at any time."""
        cluster = session.producer.client.cluster
        counts = {topic: len(cluster.partitions_for_topic(name) or ()) for topic, name in self._names.items()}
        if not all(counts.values()):
            raise SinkUnavailable("topics_missing", "A topic of the Kafka sink is gone.", hint="Was it deleted?")
        return counts

    def _checkpoint_batch(self, session: Session, batch: Batch) -> RecordBatch:
        builder = session.producer.create_batch()
        key, value = self._ledger.checkpoint_record(batch.checkpoint)
        builder.append(timestamp=None, key=key, value=value)
        return RecordBatch(self._ledger.topic, 0, builder)

    def _single_out(self, batch: Batch, refused: Sequence[RecordBatch]) -> Sequence[Outcome]:
        """The broker refuses record batches, not records: where one held several events, each is only suspect.

        A topic may also take smaller batches than ``max_request_size``: from now on they are half as large.
        """
        outcomes: list[Outcome] = [_WITHHELD] * len(batch.entries)
        detail = "the broker refused it as larger than max.message.bytes"
        for record_batch in refused:
            alone = len(record_batch.indexes) == 1
            for index in record_batch.indexes:
                outcomes[index] = Refused(RECORD_TOO_LARGE, detail) if alone else _SUSPECT
            if not alone:
                self._batch_size = max(_SMALLEST_BATCH, min(self._batch_size, record_batch.builder.size()) // 2)
        return outcomes


_PUBLISHED = Published()
_WITHHELD = Withheld()
_SUSPECT = Withheld(
    suspect=True, code=RECORD_TOO_LARGE, detail="in a record batch that the broker refused as too large"
)


class _Oversized(Exception):
    """The packer has found records that no request can hold. ``begun``: a part of their transaction has been sent."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


def _refuse(batch: Batch, too_large: Mapping[int, int]) -> Sequence[Outcome]:
    outcomes: list[Outcome] = [_WITHHELD] * len(batch.entries)
    for index, size in too_large.items():
        outcomes[index] = Refused(RECORD_TOO_LARGE, f"{size} bytes, more than max_request_size")
    return outcomes
