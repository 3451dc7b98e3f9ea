"""The named moments at which a process may be killed: between any two steps from a delivery to its mark.

Each names a function of the program and what of it is meant; ``tests.faults.harness.launch`` arms one. The kill is a
SIGKILL of the process by itself: nothing runs after it, no ``finally``, no flush.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.faults.harness.places import Function, replace

PRODUCE, ADD_PARTITIONS, END_TXN = 0, 24, 26
"""Kafka's API keys (https://kafka.apache.org/protocol#protocol_api_keys)."""

_HOPS = 4
"""Turns of the event loop after which uvloop has really written what it was given."""


class Trigger:
    """Kills this process when it is pulled for the ``nth`` time."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def __call__(self) -> None:
        if self._counts_down():
            _die()

    def once_written(self) -> None:
        """The same a moment later, when the bytes just handed over are on the wire and no answer can be read yet."""
        if self._counts_down():
            _hop(_HOPS)

    def _counts_down(self) -> bool:
        self._left -= 1
        return self._left == 0


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hop(left: int) -> None:
    if not left:
        _die()
    asyncio.get_running_loop().call_soon(_hop, left - 1)


Wrap = Callable[[Function, Trigger], Function]


def before(original: Function, trigger: Trigger) -> Function:
    """Just before a call."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        trigger()
        return original(*args, **kwargs)

    return wrapped


def after(original: Function, trigger: Trigger) -> Function:
    """Just after a call has returned."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        trigger()
        return result

    return wrapped


def written(original: Function, trigger: Trigger) -> Function:
    """After a call that writes to a socket, once the bytes are out."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        trigger.once_written()
        return result

    return wrapped


def awaited(original: Function, trigger: Trigger) -> Function:
    """Just after a coroutine has returned."""

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = await original(*args, **kwargs)
        trigger()
        return result

    return wrapped


def before_statement(word: str) -> Wrap:
    """Before SQLite executes a statement; the place is what connects."""
    return _statement(word, before)


def after_statement(word: str) -> Wrap:
    """After SQLite has executed a statement."""
    return _statement(word, after)


def _statement(word: str, moment: Wrap) -> Wrap:
    def wrap(connect: Function, trigger: Trigger) -> Function:
        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                run = super().execute
                return (moment(run, trigger) if sql == word else run)(sql, *parameters)  # type: ignore[no-any-return]

        return lambda *args, **kwargs: connect(*args, factory=Connection, **kwargs)

    return wrap


def request_written(api_key: int) -> Wrap:
    """A Kafka request of this kind is on the wire; the place is the connection's ``send``."""

    def wrap(send: Function, trigger: Trigger) -> Function:
        def wrapped(connection: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            answer = send(connection, request, *args, **kwargs)
            if api_key == request.API_KEY:
                trigger.once_written()
            return answer

        return wrapped

    return wrap


def request_answered(api_key: int) -> Wrap:
    """The answer to a Kafka request of this kind has come, and nothing was made of it yet."""

    def wrap(send: Function, trigger: Trigger) -> Function:
        def wrapped(connection: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            answer = send(connection, request, *args, **kwargs)
            return then_trigger(answer) if api_key == request.API_KEY else answer

        async def then_trigger(answer: Any) -> Any:
            result = await answer
            trigger()
            return result

        return wrapped

    return wrap


def script_written(send: Function, trigger: Trigger) -> Function:
    """Redis' script with a batch is on the wire; the place is the connection's ``send_packed_command``."""

    async def wrapped(connection: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        await send(connection, command, *args, **kwargs)
        if b"publish" in command:
            trigger.once_written()

    return wrapped


def script_answered(ask: Function, trigger: Trigger) -> Function:
    """Redis has said that the script is done, and nothing was made of it yet; the place is ``Wire.ask``."""

    async def wrapped(wire: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await ask(wire, *args, **kwargs)
        if "publish" in args:
            trigger()
        return answer

    return wrapped


@dataclass(frozen=True, slots=True)
class Failpoint:
    """``often``: it is reached at least that often within a second of load, so any of those times can be the one."""

    name: str
    place: str
    wrap: Wrap
    often: int

    def arm(self, nth: int) -> None:
        """From now on the ``nth`` time is the last. Raises ``NoSuchPlace``."""
        trigger = Trigger(nth)
        replace(self.place, lambda original: self.wrap(original, trigger))


_CONNECT = "relay.journal.store:sqlite3.connect"
_KAFKA_SEND = "aiokafka.conn:AIOKafkaConnection.send"

JOURNAL = (
    Failpoint("before insert", "relay.journal.store:Store._insert", before, 20),
    Failpoint("after insert", "relay.journal.store:Store._insert", after, 20),
    Failpoint("before commit", _CONNECT, before_statement("COMMIT"), 20),
    Failpoint("after commit", _CONNECT, after_statement("COMMIT"), 20),
    Failpoint("before 2xx", "relay.edge.webhooks:_accepted", before, 20),
    Failpoint("after 2xx", "relay.edge.http.fast_path:FastPath._respond", written, 20),
)
MARK = (
    Failpoint("before mark", "relay.publishing.publisher:Publisher._advance", before, 4),
    Failpoint("after mark", "relay.publishing.publisher:Publisher._advance", after, 4),
)
KAFKA = (
    Failpoint("transaction begun", "aiokafka:AIOKafkaProducer.begin_transaction", awaited, 4),
    Failpoint("partitions added", _KAFKA_SEND, request_answered(ADD_PARTITIONS), 4),
    Failpoint("Produce sent", _KAFKA_SEND, request_written(PRODUCE), 4),
    Failpoint("Produce answered", _KAFKA_SEND, request_answered(PRODUCE), 4),
    Failpoint("EndTxn sent", _KAFKA_SEND, request_written(END_TXN), 4),
    Failpoint("EndTxn answered", _KAFKA_SEND, request_answered(END_TXN), 4),
)
"""The checkpoint (offsets, in other designs) is a record: it travels with Produce."""
REDIS = (
    Failpoint("before claim", "relay.sinks.redis.sink:RedisSink._claim", before, 1),
    Failpoint("claimed", "relay.sinks.redis.sink:RedisSink._claim", awaited, 1),
    Failpoint("before script", "relay.sinks.redis.sink:RedisSink._append", before, 4),
    Failpoint("script sent", "redis.asyncio.connection:AbstractConnection.send_packed_command", script_written, 4),
    Failpoint("script answered", "relay.sinks.redis.wire:Wire.ask", script_answered, 4),
    Failpoint("script believed", "relay.sinks.redis.sink:RedisSink._append", awaited, 4),
)

ARCHIVE = (
    Failpoint("before output stored", "relay.archive.folder:Folder.put", before, 1),
    Failpoint("output stored", "relay.archive.folder:Folder.put", awaited, 1),
    Failpoint("output ended", "relay.telemetry.signals.outputs:OutputSignals.archived", before, 1),
)

OF_SINK = {"kafka": (*JOURNAL, *KAFKA, *MARK), "redis": (*JOURNAL, *REDIS, *MARK)}
"""Fourteen each, in the order in which an event meets them."""

BY_NAME = {point.name: point for points in (*OF_SINK.values(), ARCHIVE) for point in points}
