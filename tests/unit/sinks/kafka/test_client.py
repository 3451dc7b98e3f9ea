"""Letting go of aiokafka: what is cut, which losses count, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import CloseReason

from relay.sinks.kafka.client import Session, let_go
from relay.sinks.kafka.config import Config
from relay.sinks.kafka.logins import Login, connection_options

CONFIG = Config(type="kafka", bootstrap_servers="127.0.0.1:1")


def session() -> Session:
    return Session(CONFIG, "id", Login(connection_options(CONFIG, "relay-0")), 1000, 10.0)


def test_every_client_connects_as_configured() -> None:
    """If this fails, an answer is waited for too long or not long enough, or a login is sent that nobody asked for."""
    assert connection_options(CONFIG, "relay-0") == {
        "bootstrap_servers": "127.0.0.1:1",
        "client_id": "relay-0",
        "request_timeout_ms": 20_000,
        "retry_backoff_ms": 100,
        "security_protocol": "PLAINTEXT",
    }


async def test_what_was_given_up_is_not_sent_after_all() -> None:
    """TRAP D. If this fails, a slow link still delivers what was given up, and the next producer waits behind it."""
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    given_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await given_up.wait()
        try:
            while await reader.read(65536):
                pass
            ended.set_result("it was closed in an orderly way")
        except ConnectionResetError:
            ended.set_result("reset")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(10):
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x" * (16 << 20))
        connections = {1: SimpleNamespace(_writer=writer), 2: SimpleNamespace(_writer=None)}
        stopped = asyncio.Event()

        async def stop() -> None:
            assert writer.transport.is_closing(), "what stops must not wait for the broker"
            stopped.set()

        await let_go(SimpleNamespace(_conns=connections), stop)
        assert stopped.is_set()
        given_up.set()
        assert await ended == "reset"


@pytest.mark.parametrize(
    ("reason", "lost"),
    [
        (CloseReason.CONNECTION_BROKEN, True),
        (CloseReason.CONNECTION_TIMEOUT, True),
        (CloseReason.OUT_OF_SYNC, True),
        (CloseReason.IDLE_DROP, False),
        (CloseReason.SHUTDOWN, False),
        (None, False),
    ],
)
async def test_a_lost_connection_counts_and_one_that_is_closed_does_not(
    monkeypatch: pytest.MonkeyPatch, reason: CloseReason | None, lost: bool
) -> None:
    """TRAP D. If this fails, a producer stays in use whose late requests may land in a later transaction; or one is
    replaced for nothing; or aiokafka does not look for the brokers again."""
    heard: list[CloseReason | None] = []
    monkeypatch.setattr(AIOKafkaClient, "_on_connection_closed", lambda self, connection, why: heard.append(why))
    made = session()
    before = made.lost_connections
    made.producer.client._on_connection_closed(SimpleNamespace(), reason)
    assert (made.lost_connections != before) is lost
    assert heard == [reason]
    await made.discard(1.0)


async def test_nothing_of_a_producer_stays_behind_whatever_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRAP C. If this fails, each reopening leaves connections behind, or an alarm about what has been dealt with."""
    reports: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reports.append(context))
    made = session()
    order: list[str] = []

    async def close() -> None:
        order.append("closed")

    def failed() -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = loop.create_future()
        future.set_exception(ConnectionError("gone"))
        return future

    async def sending(self: Any = made.producer._sender) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("gone in turn")

    made.producer.client.close = close
    transport = SimpleNamespace(get_extra_info=broken_pipe, abort=lambda: order.append("cut"))
    made.producer.client._conns = {1: SimpleNamespace(_writer=SimpleNamespace(transport=transport))}
    made.producer._sender._sender_task = asyncio.create_task(sending())
    waiting = SimpleNamespace(future=failed(), _drain_waiter=loop.create_future())
    made.producer._message_accumulator._batches = {"partition": [waiting]}
    made.producer._txn_manager._transaction_waiter = failed()
    await asyncio.sleep(0)
    await made.discard(5.0)
    assert order == ["cut", "closed"]
    assert made.producer._closed, "aiokafka would warn of it later"
    made.producer._message_accumulator._batches = {}
    made.producer._txn_manager._transaction_waiter = None
    del waiting
    gc.collect()
    assert reports == []


def broken_pipe(_: str) -> Any:
    raise OSError("it is closed already")


class Compiled(Coroutine[Any, Any, None]):
    """A coroutine as Cython makes them: it has no frame to look into."""

    def __init__(self) -> None:
        self._inner = asyncio.Event().wait()

    def __await__(self) -> Any:
        return self

    def send(self, value: Any) -> Any:
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize("made", [Compiled, lambda: asyncio.wait_for(asyncio.Event().wait(), None)])
async def test_tasks_of_others_are_left_alone(made: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """If this fails, letting go of Kafka ends what another part of the relay is doing, or ends in an error itself."""
    other = asyncio.create_task(made())
    await asyncio.sleep(0)
    await session().discard(1.0)
    assert not other.done()
    other.cancel()
    await asyncio.wait([other])
