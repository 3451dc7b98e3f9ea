"""Consumers of ``GET /v1/events`` that read slowly, not at all, or too late: over sockets, with a real relay."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.journal.journal import Policy, open_journal
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from tests.integration.test_cli import run
from tests.integration.test_reload import OTHER, hang_up, rewrite
from tests.services.raw_http import ask, get
from tests.services.relay import TOKEN, RelayProcess
from tests.unit.drafts import draft

MIB = 1 << 20
LIVE = "Accept: text/event-stream"
BIG = b'"' + b"x" * 200_000 + b'"'
LARGE, LARGE_EVENTS = b'"' + b"x" * MIB + b'"', 10
SMALL_WINDOW = 4096
THIRD = "a-third-token-of-enough-length-0123456789"


async def fill(directory: Path, events: int, data: bytes = BIG, *, pruned: bool = False) -> None:
    """A journal with so many events, or one that has pruned them, before a relay opens it."""
    journal = await open_journal(directory / "relay.db", [], Policy(retention=-10.0), JournalSignals(Telemetry()))
    for first in range(0, events, 50):
        await asyncio.gather(*(journal.append(draft(str(n), data=data)) for n in range(first, min(first + 50, events))))
    if pruned:
        await journal.maintenance._merge()
        await journal.maintenance._prune()
        assert journal.events.count() == 0
    await journal.close()


@asynccontextmanager
async def serving(directory: Path, **server: Any) -> AsyncIterator[RelayProcess]:
    """A relay on the journal in this directory."""
    relay = RelayProcess(directory, server=server)
    await relay.start()
    try:
        yield relay
    finally:
        relay.kill()


class Reader:
    """A client that takes no more than it is asked to; its window is a few KiB."""

    def __init__(self, relay: RelayProcess, query: str, *headers: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        self.socket.setblocking(False)
        self._relay, self._request = relay, get(f"/v1/events{query}", *headers)

    async def send(self) -> None:
        """Sends the request, whose answer may take its time."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, ("127.0.0.1", self._relay.port))
        await loop.sock_sendall(self.socket, self._request)

    async def ask(self) -> None:
        """Sends the request and waits for the first byte of its answer, which is left unread."""
        await self.send()
        while not self._peeked():
            await asyncio.sleep(0.01)

    def _peeked(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return self.socket.recv(1, socket.MSG_PEEK)
        return b""

    async def read(self, most: int = 65536) -> bytes:
        async with asyncio.timeout(20):
            return await asyncio.get_running_loop().sock_recv(self.socket, most)


@contextlib.contextmanager
def readers(relay: RelayProcess, count: int, query: str, *headers: str) -> Iterator[Sequence[Reader]]:
    with ExitStack() as stack:
        made = [Reader(relay, query, *headers) for _ in range(count)]
        for reader in made:
            stack.enter_context(reader.socket)
        yield made


def memory(relay: RelayProcess) -> int:
    """Resident bytes of the process."""
    status = Path(f"/proc/{relay.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def settled(relay: RelayProcess) -> int:
    """Resident bytes once they have not grown for a second."""
    most, quiet = 0, 0
    async with asyncio.timeout(60):
        while quiet < 20:
            now = memory(relay)
            quiet = 0 if now > most + MIB // 4 else quiet + 1
            most = max(most, now)
            await asyncio.sleep(0.05)
    return most


async def warmed_up(relay: RelayProcess) -> int:
    """Resident bytes after the relay has served a page and a live stream to the end."""
    for headers in ((), (LIVE,)):
        reader = Reader(relay, "?limit=20", *headers)
        with reader.socket:
            await reader.ask()
            for _ in range(50):
                await reader.read()
    return await settled(relay)


async def test_consumers_who_do_not_read_cost_little_memory(tmp_path: Path) -> None:
    """Five requests that nobody reads the answers of would take a gigabyte."""
    await fill(tmp_path, 300)
    async with serving(tmp_path) as relay:
        before = await warmed_up(relay)
        with readers(relay, 20, "?limit=1000") as pages, readers(relay, 20, "", LIVE) as live:
            await asyncio.gather(*(reader.ask() for reader in [*pages, *live]))
            assert await settled(relay) - before < 32 * MIB


async def test_many_who_do_not_read_large_events_stay_within_64_mib(tmp_path: Path) -> None:
    """The memory of a relay would grow by one event for each of its consumers: 2 GB where all of them stop reading."""
    await fill(tmp_path, LARGE_EVENTS, LARGE)
    async with serving(tmp_path, api_tokens=[TOKEN, OTHER]) as relay:
        stuck, reading = (f"Authorization: Bearer {token}" for token in (TOKEN, OTHER))
        await read_through(relay, LIVE, reading)
        before = await settled(relay)
        with readers(relay, 150, "", LIVE, stuck) as live, readers(relay, 50, "", stuck) as pages:
            await asyncio.gather(*(reader.ask() for reader in live), *(reader.send() for reader in pages))
            assert await settled(relay) - before < 64 * MIB
            await read_through(relay, LIVE, reading)
            await read_through(relay, "", reading)
            assert await settled(relay) - before < 64 * MIB
        await until_none(relay)


async def test_who_waits_behind_those_that_do_not_read_gets_a_turn(tmp_path: Path) -> None:
    """One client's consumers that do not read would keep its others from ever getting an event."""
    await fill(tmp_path, LARGE_EVENTS, LARGE)
    async with serving(tmp_path, send_timeout="1s") as relay:
        with readers(relay, 100, "", LIVE) as live:
            await asyncio.gather(*(reader.ask() for reader in live))
            await read_through(relay, LIVE)
            await until_none(relay)
        assert await relay.metric("relay_consumers_total", outcome="cut", kind="live") == 100


async def read_through(relay: RelayProcess, *headers: str) -> None:
    """Reads all large events: of a live stream, or of pages."""
    after = 0
    while after < LARGE_EVENTS:
        reader = Reader(relay, f"?after={after}", *filter(None, headers))
        with reader.socket:
            reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
            await reader.send()
            seen = bytearray()
            end = b"id: %d\n" % LARGE_EVENTS if LIVE in headers else b'],"next":'
            while end not in seen[-MIB - 8192 :]:
                seen += await reader.read(MIB)
            after += seen.count(b"\nid: " if LIVE in headers else b'"specversion"')


async def test_consumers_who_take_nothing_are_cut_and_leave_nothing(tmp_path: Path) -> None:
    """A relay would grow with each consumer that was cut, and nobody would know of it, the consumer least of all."""
    await fill(tmp_path, 300)
    async with serving(tmp_path, send_timeout="500ms") as relay:
        before = await warmed_up(relay)
        for _ in range(2):
            with readers(relay, 10, "?limit=1000") as pages, readers(relay, 10, "", LIVE) as live:
                await asyncio.gather(*(reader.ask() for reader in [*pages, *live]))
                await until_none(relay)
                for reader in [*pages, *live]:
                    with pytest.raises(ConnectionResetError):
                        while await reader.read():
                            pass
        assert await settled(relay) - before < 16 * MIB
        assert await relay.metric("relay_consumers_total", outcome="cut", kind="page") == 20
        assert await relay.metric("relay_consumers_total", outcome="cut", kind="live") == 20
        cuts = [line for line in map(json.loads, relay.log.read_text().splitlines()) if line["event"] == "consumer cut"]
        assert cuts
        assert {line["reason"] for line in cuts} == {"send_timeout"}


async def until_none(relay: RelayProcess) -> None:
    async with asyncio.timeout(30):
        while await relay.metric("relay_consumers_active"):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("live", [False, True])
async def test_a_consumer_that_is_slow_and_steady_is_not_cut(tmp_path: Path, live: bool) -> None:
    """A consumer on a slow line would be cut off again and again, and never reach the end."""
    await fill(tmp_path, 50, BIG[:5000] + b'"')
    async with serving(tmp_path, send_timeout="1s") as relay:
        reader = Reader(relay, "?limit=1000", *([LIVE] if live else []))
        with reader.socket:
            await reader.ask()
            got = b""
            end = b'"id":"49:succeeded"' if live else b"\r\n0\r\n\r\n"
            while end not in got:
                got += await reader.read(3000)
                await asyncio.sleep(0.05)  # that is how slow it is: 5 s for all
            assert got.count(b'"specversion"') == 50
        assert await relay.metric("relay_consumers_total", outcome="cut") == 0


async def test_a_page_ends_after_4_mib(tmp_path: Path) -> None:
    """A page of large events would take hundreds of megabytes, in the relay and in its reader."""
    await fill(tmp_path, 50)
    async with serving(tmp_path) as relay:
        after, seen, sizes = 0, 0, []
        while after < 50:
            page = await asyncio.to_thread(run, "tail", "--url", relay.url, "--no-follow", "--json")
            reader = Reader(relay, f"?limit=1000&after={after}", "Connection: close")
            with reader.socket:
                await reader.ask()
                raw = b""
                while data := await reader.read():
                    raw += data
            found = json.loads(unchunked(raw))
            sizes.append(len(found["events"]))
            seen, after = seen + sizes[-1], found["next"]
        assert (seen, max(sizes)) == (50, 21)
        assert len(page.stdout.splitlines()) == 50


def unchunked(raw: bytes) -> bytes:
    body, rest = b"", raw.partition(b"\r\n\r\n")[2]
    while size := int(rest.partition(b"\r\n")[0], 16):
        start = rest.index(b"\r\n") + 2
        body, rest = body + rest[start : start + size], rest[start + size + 2 :]
    return body


async def test_a_place_that_is_pruned_is_said_before_the_stream_goes_on(tmp_path: Path) -> None:
    """A consumer that was away for longer than the retention would skip thousands of events and not know it."""
    await fill(tmp_path, 50, b"1", pruned=True)
    async with serving(tmp_path) as relay:
        page = (await ask(relay.url, get("/v1/events?after=3"))).json
        assert page == {"events": [], "next": 50, "pruned": {"first": 4, "last": 50}}
        assert (await ask(relay.url, get("/v1/events"))).json == {"events": [], "next": 50, "pruned": None}
        assert (await ask(relay.url, get("/v1/events?after=50"))).json["pruned"] is None
        reader = Reader(relay, "", LIVE, "Last-Event-ID: 3")
        with reader.socket:
            await reader.ask()
            said = b""
            while b"\n\n\r\n" not in said or b"relay.events.pruned" not in said:
                said += await reader.read()
        assert b"id: 50\nevent: relay.events.pruned\n" in said
        assert b'"data":{"first":4,"last":50}' in said
        tail = await asyncio.to_thread(run, "tail", "--url", relay.url, "--no-follow", "--after", "3")
        assert (tail.stdout, tail.returncode) == ("", 0)
        assert "4 to 50" in tail.stderr


async def test_a_live_stream_ends_when_its_token_is_revoked(tmp_path: Path) -> None:
    """A token that leaked would go on reading everything until the relay is restarted."""
    async with serving(tmp_path, api_tokens=[TOKEN, OTHER]) as relay, AsyncExitStack() as stack:
        leaked, kept = (Reader(relay, "", LIVE, f"Authorization: Bearer {token}") for token in (TOKEN, OTHER))
        for reader in (leaked, kept):
            stack.enter_context(reader.socket)
            await reader.ask()
        rewrite(relay, server={"api_tokens": [OTHER]})
        await hang_up(relay)
        got = b""
        while not got.endswith(b"0\r\n\r\n"):
            got += await leaked.read()
        assert await relay.metric("relay_consumers_active", kind="live") == 1
        assert await relay.metric("relay_consumers_total", outcome="revoked") == 1


async def test_there_are_no_more_consumers_than_allowed(tmp_path: Path) -> None:
    """A client that keeps opening streams would take all the memory, a little with each."""
    async with serving(tmp_path, max_consumers=2, api_tokens=[TOKEN, OTHER, THIRD]) as relay:
        first, second, third = (f"Authorization: Bearer {token}" for token in (TOKEN, OTHER, THIRD))
        with readers(relay, 1, "", LIVE, first) as live, readers(relay, 1, "", LIVE, second) as more:
            await asyncio.gather(*(reader.ask() for reader in [*live, *more]))
            refused = await ask(relay.url, get("/v1/events", third))
            assert (refused.status, refused.code) == (503, "too_many_consumers")
            assert "server.max_consumers is 2." in refused.json["detail"]
            assert int(refused.headers["retry-after"]) > 0
        await until_none(relay)
        assert (await ask(relay.url, get("/v1/events", third))).status == 200
        assert await relay.metric("relay_consumers_total", outcome="refused") == 1


@pytest.mark.parametrize("tokens", [(), (TOKEN, OTHER)])
async def test_one_client_leaves_half_of_the_places_to_others(tmp_path: Path, tokens: tuple[str, ...]) -> None:
    """A program that opens streams and forgets them would keep everybody else from reading events."""
    async with serving(tmp_path, max_consumers=3, api_tokens=tokens) as relay:
        greedy, other = ([f"Authorization: Bearer {token}"] if tokens else [] for token in (TOKEN, OTHER))
        with readers(relay, 2, "", LIVE, *greedy) as live:
            await asyncio.gather(*(reader.ask() for reader in live))
            refused = await ask(relay.url, get("/v1/events", *greedy))
            assert (refused.status, refused.code) == (503, "too_many_consumers")
            assert "2, half of server.max_consumers" in refused.json["detail"]
            if tokens:
                assert (await ask(relay.url, get("/v1/events", *other))).status == 200
        await until_none(relay)
        assert (await ask(relay.url, get("/v1/events", *greedy))).status == 200
        assert await relay.metric("relay_consumers_total", outcome="refused") == 1


async def test_a_head_request_gets_a_head(tmp_path: Path) -> None:
    """HEAD of a live stream would be answered with a body that never ends."""
    async with serving(tmp_path) as relay:
        for headers in ((), (LIVE,)):
            answer = await ask(relay.url, get("/v1/events", *headers, "Connection: close", method="HEAD"), "HEAD")
            assert (answer.status, answer.body) == (200, b"")
