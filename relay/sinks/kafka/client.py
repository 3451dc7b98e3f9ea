"""aiokafka behind a narrow interface: connects, and disconnects within a time limit. Written for aiokafka 0.14.

What it works around (reliability traps B to D): ``stop()`` flushes first and so waits without limit for a broker that
is away; a transaction has no deadline of its own; after a lost connection requests are sent again silently, while the
lost one may still reach the broker and land in a later transaction of the same epoch
(Jepsen, Bufstream 0.1.0: https://jepsen.io/analyses/bufstream-0.1.0).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaConnectionError

from relay.core.sink import SinkUnavailable
from relay.sinks.kafka.config import Config
from relay.sinks.kafka.handshake import greet, servers
from relay.sinks.kafka.logins import Login
from relay.sinks.kafka.stranger import stranger

T = TypeVar("T")

_LOST = frozenset({CloseReason.CONNECTION_BROKEN, CloseReason.CONNECTION_TIMEOUT, CloseReason.OUT_OF_SYNC})
_RESET = struct.pack("ii", 1, 0)
_SLOW = 3.0
"""Seconds after which a start is slow."""


async def start(client: Any, options: dict[str, Any]) -> None:
    """``client.start()``, but a failure says why: aiokafka only logs that, and raises that no broker was reached."""
    try:
        await answered(client.start(), options)
    except KafkaConnectionError:
        await greet(options)
        raise


async def answered(connecting: Coroutine[Any, Any, T], options: dict[str, Any]) -> T:
    """What ``connecting`` answers. Raises ``SinkUnavailable`` as soon as it shows that no Kafka listens there."""
    starting, looking = asyncio.ensure_future(connecting), asyncio.ensure_future(_stranger_behind(options))
    try:
        await asyncio.wait((starting, looking), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done() and (found := looking.result()) is not None:
            raise found
        return await starting
    finally:
        for task in (starting, looking):
            task.cancel()
        await asyncio.gather(starting, looking, return_exceptions=True)


async def _stranger_behind(options: dict[str, Any]) -> SinkUnavailable | None:
    """Looks whether Kafka listens there at all, once that is in doubt."""
    await asyncio.sleep(_SLOW)
    # With TLS the handshake shows what is wrong.
    return await stranger(servers(options)) if options["security_protocol"].endswith("PLAINTEXT") else None


async def let_go(client: Any, stop: Callable[[], Awaitable[None]]) -> None:
    """End a client that has nothing left to say, by its own ``stop``, without waiting for the broker.

    With TLS, ``stop`` waits for the broker's answer to its farewell, which the broker need not send (RFC 8446, 6.1),
    and which uvloop overlooks when the answer to another request comes first
    (https://github.com/MagicStack/uvloop/issues/471): 30 seconds each time. So connections are cut first.
    """
    _cut(client)
    await stop()


def _cut(client: Any) -> None:
    """Cut all connections at once, with a reset: what is unsent is dropped, in the kernel, too.

    Without one the kernel would go on sending for as long as a slow link takes, in the way of the next producer.
    """
    for connection in client._conns.values():
        if connection._writer is not None:
            transport = connection._writer.transport
            with contextlib.suppress(OSError, ValueError):  # it is closed already
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()


class Session:
    """One producer epoch, from InitProducerId until it is let go. It is never used again after a doubt.

    ``seconds``: the longest that one of its transactions may take. The other timeouts stay above it by as much as
    they are above ``publish_timeout`` (reliability trap D).
    """

    def __init__(
        self, config: Config, transactional_id: str, login: Login, max_batch_size: int, seconds: float
    ) -> None:
        self.login = login
        self.lost_connections = 0
        self.seconds = seconds
        more = seconds - config.publish_timeout
        self.producer: Any = AIOKafkaProducer(
            **login.options | {"request_timeout_ms": int((config.request_timeout + more) * 1000)},
            transactional_id=transactional_id,
            transaction_timeout_ms=int((config.transaction_timeout + more) * 1000),
            acks="all",
            linger_ms=0,
            compression_type=config.compression_type,
            max_batch_size=max_batch_size,
            max_request_size=config.max_request_size,
        )
        self._watch_connections()

    def _watch_connections(self) -> None:
        client = self.producer.client
        notify = client._on_connection_closed

        def on_close(connection: Any, reason: CloseReason | None) -> None:
            if reason in _LOST:
                self.lost_connections += 1
            notify(connection, reason)

        client._on_connection_closed = on_close

    def reconnect(self, login: Login) -> None:
        """Goes on with other credentials: between two transactions nothing is in doubt, so the producer stays.

        aiokafka opens each connection when it is needed, and none of them can change its credentials (KIP-368).
        """
        client, options = self.producer.client, login.options
        self.login = login
        for name in ("ssl_context", "sasl_plain_username", "sasl_plain_password", "sasl_oauth_token_provider"):
            setattr(client, f"_{name}", options.get(name))
        for connection in list(client._conns.values()):
            connection.close(reason=CloseReason.SHUTDOWN)

    @property
    def alive(self) -> bool:
        """Whether the task that sends is still there: aiokafka ends it on fatal errors, and then nothing is sent."""
        task = self.producer._sender.sender_task
        return task is not None and not task.done()

    async def discard(self, timeout: float) -> None:
        """Let go at once, without flushing: what is open is aborted by the next InitProducerId. Raises nothing.

        Unsent bytes are dropped rather than delivered late.
        """
        producer = self.producer
        producer._closed = True
        tasks = _tasks_of(producer._sender)
        for task in tasks:
            task.cancel()
        _cut(producer.client)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(timeout):
                await asyncio.gather(*tasks, return_exceptions=True)
                await producer.client.close()
        self._mark_retrieved()

    def _mark_retrieved(self) -> None:
        """Keep asyncio from reporting, at some later garbage collection, failures that have been dealt with."""
        accumulator, transaction = self.producer._message_accumulator, self.producer._txn_manager
        waiting = [batch for batches in accumulator._batches.values() for batch in batches]
        futures = [future for batch in waiting for future in (batch.future, batch._drain_waiter)]
        for future in (*futures, transaction._transaction_waiter):
            if future is not None and future.done() and not future.cancelled():
                future.exception()


def _tasks_of(sender: Any) -> list[asyncio.Task[Any]]:
    """The sender's tasks: its loop and the requests that this one waits for even when cancelled, without limit."""
    tasks = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is not None and frame.f_locals.get("self") is sender:
            tasks.append(task)
    return tasks
