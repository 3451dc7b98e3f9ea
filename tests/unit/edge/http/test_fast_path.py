"""The short way answers as the ordinary way does, in order, or leaves a request to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from relay.core.event import Draft, Receipt
from relay.edge.http.auth import AddressFilter, SignatureVerifier, TokenSet
from relay.edge.http.bodies import BodyLimits
from relay.edge.http.fast_path import MAX_BODY
from relay.edge.http.listener import Listener
from relay.edge.http.server import Connection, Limits
from relay.edge.webhooks import DeliveryAuth, Inbox, Webhooks
from relay.journal.journal import Journal, Policy, open_journal
from relay.sources.novita_task import NovitaTask
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry

TOKEN = "a-token-that-is-long-enough"


def body(task: str, status: str = "TASK_STATUS_SUCCEED", padding: int = 0) -> bytes:
    task_object = {"task_id": task, "status": status, "reason": "x" * padding}
    return orjson.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": {"task": task_object}})


def post(content: bytes, token: str = TOKEN, extra: str = "") -> bytes:
    head = f"POST /webhooks/novita/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n{extra}\r\n"
    return head.encode() + content


class Door:
    """A listener with webhooks behind it, counting what the short way takes."""

    def __init__(self, journal: Journal, max_body: int = 1 << 20, limits: Limits | None = None) -> None:
        telemetry = Telemetry()
        gate = DeliveryAuth(TokenSet([TOKEN]), AddressFilter([]), SignatureVerifier([]))
        inbox = Inbox(NovitaTask(), gate, DeliverySignals(telemetry, "novita"))
        self.webhooks = Webhooks({"novita": inbox}, journal, BodyLimits(max_body, 64 << 20, 5.0))
        self.taken = 0
        self.listener = Listener(
            self.webhooks,
            host="127.0.0.1",
            port=0,
            limits=limits or Limits(),
            signals=HttpSignals(telemetry),
            shortcut=self,
        )

    def take(self, message, content, remote, respond) -> bool:  # type: ignore[no-untyped-def]
        taken = self.webhooks.take(message, content, remote, respond)
        self.taken += taken
        return taken

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.listener.url.removeprefix("http://").split(":")
        return await asyncio.open_connection(host, int(port))


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """One response: its status, its headers in lower case, its body."""
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        return int(head[0].split(" ")[1]), headers, await reader.readexactly(int(headers["content-length"]))


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await open_journal(tmp_path / "j.db", ["kafka"], Policy(max_backlog=50), JournalSignals(Telemetry()))
    yield opened
    await opened.close()


@pytest.fixture
async def door(journal: Journal) -> AsyncIterator[Door]:
    made = Door(journal)
    await made.listener.start()
    yield made
    await made.listener.stop(1.0)


async def test_a_whole_delivery_takes_the_short_way_and_is_on_disk(door: Door, journal: Journal) -> None:
    """Broken: the fast path would not be taken (a private name of aiohttp has moved), or would not write."""
    reader, writer = await door.connect()
    for n in range(3):
        writer.write(post(body(f"t{n}")))
        status, headers, content = await answer(reader)
        assert (status, headers["content-type"]) == (200, "application/json")
        assert orjson.loads(content) == {"status": "accepted", "event_id": f"t{n}:succeeded"}
        assert "date" in headers
    assert door.taken == 3
    assert [entry.event.subject for entry in await journal.events.read(0, 10)] == ["t0", "t1", "t2"]
    writer.close()


async def test_both_ways_answer_the_same(door: Door) -> None:
    """Broken: the answer to a sender would depend on how its packets were cut."""
    reader, writer = await door.connect()
    for content in (body("a"), body("a"), body("a", "TASK_STATUS_FAILED"), body("b", "TASK_STATUS_CANCELED")):
        whole = post(content)
        before = door.taken
        writer.write(whole)
        short = await answer(reader)
        assert door.taken == before + 1
        writer.write(whole[:-5])
        await writer.drain()
        await asyncio.sleep(0.05)  # two reads on the other side, or the case would not be the one it is meant to be
        writer.write(whole[-5:])
        long = await answer(reader)
        assert door.taken == before + 1
        again = orjson.loads(short[2]) | {"status": "duplicate"}
        assert (long[0], orjson.loads(long[2])) == (200, again)
    writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (post(body("a"), token="wrong"), 401),
        (post(b"{"), 400),
        (post(body("a"), extra="Content-Encoding: gzip\r\n"), 415),
        (post(body("a", padding=MAX_BODY)), 200),
        (post(body("a", "TASK_STATUS_PROCESSING")), 200),
        (b"GET /webhooks/novita/" + TOKEN.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (post(body("a")).replace(b"/novita/", b"/nobody/"), 404),
        (post(body("a"), extra="Connection: close\r\n"), 200),
    ],
    ids=["wrong token", "not JSON", "gzip", "large", "ignored", "GET", "unknown source", "close"],
)
async def test_everything_else_goes_the_ordinary_way(door: Door, request_bytes: bytes, expected: int) -> None:
    """Broken: a refusal, a large body or another route would be answered by code that was not made for it."""
    reader, writer = await door.connect()
    writer.write(request_bytes)
    status, _, _ = await answer(reader)
    assert (status, door.taken) == (expected, 0)
    writer.close()


async def test_pipelined_requests_are_answered_in_their_order(door: Door) -> None:
    """Broken: a pipelining client would take one delivery's answer for another's (RFC 9112, 9.3.2)."""
    reader, writer = await door.connect()
    writer.write(post(body("t0")))
    await writer.drain()
    for n in range(1, 40):
        writer.write(post(body(f"t{n}")))
        await asyncio.sleep(0)
    answers = [orjson.loads((await answer(reader))[2])["event_id"] for _ in range(40)]
    assert answers == [f"t{n}:succeeded" for n in range(40)]
    writer.write(post(body("last")))
    assert orjson.loads((await answer(reader))[2])["event_id"] == "last:succeeded"
    writer.close()


async def test_a_commit_that_fails_is_answered_with_a_503(
    door: Door, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: the short way would answer 200 for what a full disk did not keep (invariant I5), or not at all."""
    from relay.journal.errors import JournalUnavailable

    def full(*_: object) -> None:
        raise JournalUnavailable("journal_full", "full", hint="")

    monkeypatch.setattr(journal._store, "append", full)
    reader, writer = await door.connect()
    writer.write(post(body("a")))
    status, headers, content = await answer(reader)
    assert door.taken == 1
    assert (status, headers["retry-after"], headers["content-type"]) == (503, "5", "application/problem+json")
    assert orjson.loads(content)["code"] == "journal_unavailable"
    monkeypatch.undo()
    writer.write(post(body("a")))
    assert (await answer(reader))[0] == 200
    writer.close()


async def test_a_client_that_hangs_up_loses_only_the_answer(door: Door, journal: Journal) -> None:
    """Broken: a delivery whose sender is gone would be lost, or its answer would make noise."""
    _, writer = await door.connect()
    writer.write(post(body("gone")))
    writer.close()
    async with asyncio.timeout(5):
        await journal.events.wait(0)
    assert [entry.event.subject for entry in await journal.events.read(0, 10)] == ["gone"]


async def test_stopping_lets_a_pending_answer_out(
    door: Door, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: a drain would cut a connection between the fsync and its 2xx, and the sender would deliver again."""
    import time

    append = journal._store.append

    def slow(*arguments: object) -> object:
        time.sleep(0.3)
        return append(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(journal._store, "append", slow)
    reader, writer = await door.connect()
    writer.write(post(body("slow")))
    while not door.taken:
        await asyncio.sleep(0.001)
    stopping = asyncio.ensure_future(door.listener.stop(5.0))
    assert (await answer(reader))[0] == 200
    await stopping
    assert await reader.read() == b""
    writer.close()


class Slow:
    """A journal whose commits end when the test says so."""

    def __init__(self) -> None:
        self.open: list[tuple[Draft, asyncio.Future[Receipt]]] = []

    def append(self, draft: Draft) -> asyncio.Future[Receipt]:
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.open.append((draft, future))
        return future

    async def begun(self) -> None:
        async with asyncio.timeout(5):
            while not self.open:
                await asyncio.sleep(0.001)

    async def commit(self) -> None:
        await self.begun()
        draft, future = self.open.pop(0)
        future.set_result(Receipt("accepted", draft.event.id, 1))


@asynccontextmanager
async def slow_door(limits: Limits) -> AsyncIterator[tuple[Door, Slow]]:
    journal = Slow()
    door = Door(journal, limits=limits)  # type: ignore[arg-type]
    await door.listener.start()
    yield door, journal
    await door.listener.stop(1.0)


@pytest.mark.parametrize("path", ["/webhooks/novita/" + TOKEN, "/elsewhere"])
async def test_a_request_without_a_body_is_answered(door: Door, path: str) -> None:
    """Broken: such a request would end its connection without a word."""
    reader, writer = await door.connect()
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    assert (await answer(reader))[0] in (400, 404)
    assert door.taken == 0
    writer.close()


async def test_what_comes_before_the_answer_waits_for_it_and_no_longer() -> None:
    """Broken: many requests in a row would stay half read, or a complete head be taken for a late one."""
    async with slow_door(Limits(header_timeout=1.0)) as (door, journal):
        reader, writer = await door.connect()
        writer.write(post(body("t0")))
        await journal.begun()
        assert door.taken == 1
        writer.write(b"".join(post(body(f"t{n}")) for n in range(1, 100)))
        await asyncio.sleep(0.05)  # they must arrive while the first is pending
        for n in range(100):
            await journal.commit()
            assert orjson.loads((await answer(reader))[2])["event_id"] == f"t{n}:succeeded"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):  # longer than the time for a head
                await reader.read()
        writer.write(post(body("last")))
        await journal.commit()
        assert (await answer(reader))[0] == 200
        writer.close()


async def test_rubbish_after_a_delivery_is_answered_after_it() -> None:
    """Broken: the sender would read the 400 as the answer to its delivery, and never its 200."""
    async with slow_door(Limits()) as (door, journal):
        reader, writer = await door.connect()
        writer.write(post(body("t0")))
        await journal.begun()
        writer.write(b"\x00rubbish\r\n\r\n")
        await asyncio.sleep(0.05)  # it must arrive while the delivery is pending
        await journal.commit()
        assert (await answer(reader))[0] == 200
        assert (await answer(reader))[0] == 400
        assert await reader.read() == b""
        writer.close()


async def test_a_slow_commit_is_no_idle_time() -> None:
    """Broken: a delivery that comes late on a kept connection would be cut before its answer."""
    async with slow_door(Limits(keepalive_timeout=0.2)) as (door, journal):
        reader, writer = await door.connect()
        writer.write(post(body("t0")))
        await journal.begun()
        await asyncio.sleep(0.4)
        await journal.commit()
        assert (await answer(reader))[0] == 200
        async with asyncio.timeout(5):
            assert await reader.read() == b"", "idle now, and closed in its time"
        writer.close()


async def test_a_connection_is_unused_from_its_last_answer_on(door: Door) -> None:
    """Broken: who has just delivered would be the first to make room for others, and be cut before its time."""
    reader, writer = await door.connect()
    writer.write(post(body("a")))
    await answer(reader)
    assert door.taken == 1
    [connection] = door.listener.server.connections
    assert isinstance(connection, Connection)
    assert 0 <= connection.unused_for() < connection.keepalive_timeout
    writer.close()
