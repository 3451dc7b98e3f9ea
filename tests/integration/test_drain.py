"""The end of a relay: every request that it took is answered, and the process ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.services.in_process import PATH, TOKEN, running, task
from tests.services.raw_http import Wire, ask, get, post, wire
from tests.services.redis import Redis, redis_cli_read
from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import Call, chunks, scripted


@dataclass
class Load:
    """Clients that deliver one task after the other, on kept connections and on new ones, until nobody listens."""

    url: str
    kept: bool
    acknowledged: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    asked_to_close: int = 0

    async def run(self, name: str) -> None:
        for n in range(1_000_000):
            task_id = f"{name}-{n}"
            try:
                async with wire(self.url) as connection:
                    await self._deliver(connection, task_id)
            except ConnectionRefusedError:
                return  # nothing was sent: another relay, or this one once restarted, gets it
            except (OSError, asyncio.IncompleteReadError):
                self.unanswered.append(task_id)

    async def _deliver(self, connection: Wire, task_id: str) -> None:
        """One delivery, or as many as the connection lasts for."""
        for n in range(1_000_000 if self.kept else 1):
            await connection.send(post(PATH, task(f"{task_id}-{n}")))
            reply = await connection.answer()
            assert reply.status == 200, reply
            self.acknowledged.append(reply.json["event_id"])
            if reply.headers.get("connection") == "close":
                self.asked_to_close += 1
                return


async def loaded(url: str, *, kept: bool, clients: int = 8) -> tuple[Load, asyncio.Future[list[None]]]:
    """A load that is under way."""
    load = Load(url, kept)
    running = asyncio.gather(*(load.run(f"c{n}") for n in range(clients)))
    async with asyncio.timeout(10):
        while len(load.acknowledged) < 50:
            assert not running.done()
            await asyncio.sleep(0.01)
    return load, running


@pytest.mark.parametrize("kept", [True, False], ids=["kept connections", "new connections"])
async def test_no_request_under_load_stays_without_its_answer(tmp_path: Path, kept: bool) -> None:
    """Each update would break deliveries, which the upstream tries a few times only."""
    async with running(tmp_path) as relay:
        load, clients = await loaded(relay.url, kept=kept)
        async with asyncio.timeout(10):
            await relay.stop()
            await clients
    assert load.unanswered == []
    if kept:
        assert load.asked_to_close >= 8
    async with running(tmp_path) as relay:
        assert relay.journal.events.last_offset == len(load.acknowledged)
        assert len(set(load.acknowledged)) == len(load.acknowledged)


async def test_while_draining_it_says_so_and_still_takes_what_comes(tmp_path: Path) -> None:
    """A balancer that has not looked yet would have its deliveries refused."""
    async with running(tmp_path) as relay, wire(relay.url) as held:
        await held.send(post(PATH, task("held")))
        await held.answer()
        stopping = asyncio.create_task(relay.stop())
        await asyncio.sleep(0)
        ready = await ask(relay.admin_url, get("/readyz"))
        assert (ready.status, ready.json["reasons"]) == (503, ["draining"])
        async with wire(relay.url) as late:
            await late.send(post(PATH, task("late")))
            reply = await late.answer()
            assert (reply.status, reply.headers["connection"]) == (200, "close")
        await held.send(post(PATH, task("held-2")))
        reply = await held.answer()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        async with asyncio.timeout(5):
            await stopping


async def test_a_body_under_way_is_waited_for(tmp_path: Path) -> None:
    """A slow sender would lose what it had begun to send."""
    async with running(tmp_path) as relay, wire(relay.url) as slow:
        whole = post(PATH, task("slow"))
        await slow.send(whole[:-5])
        await asyncio.sleep(0.05)  # the relay must have begun to read it
        stopping = asyncio.create_task(relay.stop())
        await asyncio.sleep(0.7)  # longer than the last call
        assert not stopping.done()
        await slow.send(whole[-5:])
        assert (await slow.answer()).json["event_id"] == "slow:succeeded"
        async with asyncio.timeout(5):
            await stopping


async def test_what_does_not_end_is_cut_in_time(tmp_path: Path) -> None:
    """One stuck sender would keep a relay from being updated."""
    async with running(tmp_path, server={"drain_timeout": 1.0}) as relay, wire(relay.url) as stuck:
        await stuck.send(post(PATH, task("stuck"))[:-5])
        await asyncio.sleep(0.05)  # the relay must have begun to read it
        async with asyncio.timeout(30):
            await relay.stop()
        assert await stuck.rest() == b""


# -- as a process ----------------------------------------------------------------------------------------------------


async def test_sigterm_under_load_ends_the_process_in_order(tmp_path: Path) -> None:
    """An update would lose deliveries, be killed after its grace, or look like a crash."""
    relay = RelayProcess(tmp_path / "r")
    await relay.start()
    try:
        load, clients = await loaded(relay.url, kept=True)
        assert await relay.stop(within=10.0) == 0
        async with asyncio.timeout(10):
            await clients
        assert load.unanswered == []
        await relay.start()
        assert await relay.metric("relay_journal_events") == len(load.acknowledged)
        assert await relay.stop(within=10.0) == 0
    finally:
        relay.kill()
    log = relay.log.read_text()
    assert "relay stopped" in log
    assert "Traceback" not in log
    assert TOKEN not in log


CHAT = post(
    "/openai/v1/chat/completions", b'{"model":"m","stream":true,"messages":[]}', "Content-Type: application/json"
)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def ticking(call: Call) -> None:
    """A chat that says something every 50 ms, 40 times."""
    await call.send(STREAM)
    for n in range(40):
        await call.send(chunks(b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % n, end=False))
        await asyncio.sleep(0.05)
    await call.send(chunks(b"data: [DONE]\n\n"))


async def test_deliveries_are_taken_while_a_chat_drains_and_idle_connections_go_last(tmp_path: Path) -> None:
    """One long chat would make a restart refuse every delivery until it has ended."""
    async with scripted(ticking) as upstream:
        relay = RelayProcess(tmp_path / "r", upstream={"base_url": upstream.url})
        await relay.start()
        try:
            async with wire(relay.url) as chat, wire(relay.url) as kept, wire(relay.url) as unused:
                await kept.send(post(PATH, task("kept")))
                assert "connection" not in (await kept.answer()).headers
                await chat.send(CHAT)
                await chat.reader.readuntil(b'"content":"0"')
                relay.process.terminate()  # type: ignore[union-attr]
                await chat.reader.readuntil(b'"content":"25"')  # 1.25 s later
                for connection in (kept, unused):
                    await connection.send(post(PATH, task(f"late-{id(connection)}")))
                    reply = await connection.answer()
                    assert (reply.status, reply.headers["connection"]) == (200, "close")
                reply = await ask(relay.url, post(PATH, task("new")))
                assert (reply.status, reply.headers["connection"]) == (200, "close")
                assert b"[DONE]" in await chat.reader.readuntil(b"0\r\n\r\n")
                assert await relay.ended(within=30.0) == 0
                assert await chat.rest() == b""
        finally:
            relay.kill()


async def test_deliveries_are_taken_while_a_sink_that_hangs_is_given_up(tmp_path: Path) -> None:
    """With its broker away, a restart would refuse deliveries for most of what is left of its time."""
    given_up = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        given_up.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    relay = RelayProcess(tmp_path / "r", sinks=[{"type": "redis", "url": url}], server={"drain_timeout": "8s"})
    await relay.start()
    try:
        ending = asyncio.create_task(relay.stop())
        await relay.until_logged('"draining"')
        with contextlib.suppress(ConnectionRefusedError):
            for n in itertools.count():
                assert (await ask(relay.url, post(PATH, task(f"late-{n}")))).status == 200
        async with asyncio.timeout(3):  # it was, or is at this moment: not only when the eight are over
            await given_up.wait()
        assert await ending == 0
    finally:
        relay.kill()
        server.close()


async def test_what_was_accepted_is_published_before_the_process_ends(redis_server: Redis, tmp_path: Path) -> None:
    """The last events of a replica that is scaled down would wait on a volume that nobody mounts again."""
    prefix = redis_server.prefix()
    async with scripted(ticking) as upstream:
        relay = RelayProcess(
            tmp_path / "r",
            sinks=[{"type": "redis", "url": redis_server.url, "prefix": prefix}],
            server={"drain_timeout": "2s"},  # ends before the chat does
            upstream={"base_url": upstream.url},
        )
        await relay.start()
        try:
            load, clients = await loaded(relay.url, kept=True)
            async with wire(relay.url) as chat:
                await chat.send(CHAT)
                await chat.reader.readuntil(b'"content":"0"')
                assert await relay.stop(within=10.0) == 0
            async with asyncio.timeout(10):
                await clients
        finally:
            relay.kill()
    published = [fields["id"].decode() for _, fields in redis_cli_read(redis_server.port, f"{prefix}tasks")]
    assert sorted(published) == sorted(load.acknowledged)
    chats = [fields["type"].decode() for _, fields in redis_cli_read(redis_server.port, f"{prefix}chat")]
    assert chats == ["relay.chat.started", "relay.chat.failed"]


async def test_a_request_that_crosses_with_the_close_is_not_reset(tmp_path: Path) -> None:
    """A sender could not tell a request that nobody has read from one that broke, and its answer might be lost."""
    relay = RelayProcess(tmp_path / "r")
    await relay.start()
    try:
        with socket.create_connection(("127.0.0.1", relay.port), timeout=10) as kept:
            kept.sendall(post(PATH, task("kept")))
            assert kept.recv(4096).startswith(b"HTTP/1.1 200")
            ending = asyncio.create_task(relay.stop(within=10.0))
            assert await asyncio.to_thread(kept.recv, 4096) == b""
            kept.sendall(post(PATH, task("crossing")))  # as if it had been on its way when relay closed
            assert kept.recv(4096) == b""
            kept.sendall(post(PATH, task("crossing too")))
        assert await ending == 0
    finally:
        relay.kill()


async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    """An operator in a hurry would have to wait for the drain, or kill -9."""
    relay = RelayProcess(tmp_path / "r")
    await relay.start()
    try:
        async with wire(relay.url) as stuck:
            await stuck.send(post(PATH, task("stuck"))[:-5])
            relay.process.terminate()  # type: ignore[union-attr]
            async with asyncio.timeout(10):
                while '"draining"' not in relay.log.read_text():
                    await asyncio.sleep(0.02)
            os.kill(relay.pid, signal.SIGTERM)
            assert await relay.ended(within=5.0) == -signal.SIGTERM
    finally:
        relay.kill()
    assert "Traceback" not in relay.log.read_text()


async def test_systemd_hears_when_it_is_ready_and_when_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit of Type=notify would time out, and units after it start too early."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        relay = RelayProcess(tmp_path / "r")
        await relay.start()
        try:
            assert await asyncio.to_thread(systemd.recv, 100) == b"READY=1"
            assert await relay.stop(within=10.0) == 0
            assert await asyncio.to_thread(systemd.recv, 100) == b"STOPPING=1"
        finally:
            relay.kill()


async def test_an_address_that_is_taken_ends_the_process_with_what_to_do(tmp_path: Path) -> None:
    """A relay that cannot listen would look as if it ran, or end in a traceback."""
    first = RelayProcess(tmp_path / "first")
    await first.start()
    second = RelayProcess(tmp_path / "second")
    second.config.write_text(second.config.read_text().replace(str(second.port), str(first.port)))
    try:
        with pytest.raises(AssertionError, match="relay ended with 1"):
            await second.start()
        log = second.log.read_text()
        assert "address_unavailable" in log
        assert "choose another server.port" in log
        assert "Traceback" not in log
    finally:
        second.kill()
        assert await first.stop(within=10.0) == 0
