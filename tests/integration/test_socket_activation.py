"""A relay whose listeners are systemd's."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.in_process import PATH, task
from tests.services.raw_http import ask, get, post
from tests.services.relay import RelayProcess

PATIENCE = 60.0
"""Seconds that a busy machine may take for a restart."""
ACTIVATED = "tests.services.socket_activation"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    """One that is not started yet."""
    made = RelayProcess(tmp_path / "r")
    yield made
    made.kill()


def opened(relay: RelayProcess, *ports: int) -> list[socket.socket]:
    """Listening sockets on loopback, which the relay gets when it starts."""
    made = [socket.create_server(("127.0.0.1", port), backlog=1024) for port in ports]
    relay.pass_fds = tuple(each.fileno() for each in made)
    return made


async def status_of(port: int, request: bytes) -> bytes:
    """The first line of the answer, however long a restart takes. A refusal and a reset raise."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(PATIENCE):
        line = await reader.readline()
    writer.close()
    return line


async def test_a_restart_refuses_nobody(relay: RelayProcess) -> None:
    """On one host each restart would cost the deliveries of as long as it takes."""
    main, admin = opened(relay, relay.port, relay.admin_port)
    fds = f"main={main.fileno()},admin={admin.fileno()}"
    answers: list[bytes] = []
    running = True

    async def sender(name: str) -> None:
        for n in itertools.count():
            if not running:
                return
            answers.append(await status_of(relay.port, post(PATH, task(f"{name}-{n}"))))
            await asyncio.sleep(0.02)

    with main, admin:
        await relay.start(ACTIVATED, fds)
        senders = asyncio.gather(*(sender(f"s{n}") for n in range(8)))
        for _ in range(2):
            before = len(answers)
            assert await relay.stop(within=20.0) == 0
            await relay.start(ACTIVATED, fds)
            async with asyncio.timeout(PATIENCE):
                while len(answers) < before + 50:
                    await asyncio.sleep(0.02)
        running = False
        await senders
        assert set(answers) == {b"HTTP/1.1 200 OK\r\n"}
        assert await relay.metric("relay_journal_events") == len(answers)
        assert (await ask(relay.admin_url, get("/livez"), "GET")).status == 200


@pytest.mark.parametrize(
    ("fds", "count", "says"),
    [
        ("web={main}", "1", "systemd passes 1 sockets, named web"),
        ("main={main}", "2", "systemd passes 2 sockets, named main"),
        ("main={main},main={main}", "2", "named main:main"),
        ("main={connected}", "1", "no stream socket that listens"),
        ("main={file}", "1", "is no socket"),
        ("main={other}", "1", "the configuration says 127.0.0.1:"),
    ],
)
async def test_what_systemd_passes_has_to_fit(
    relay: RelayProcess, monkeypatch: pytest.MonkeyPatch, fds: str, count: str, says: str
) -> None:
    """A relay would listen where nobody sends, or where everybody may."""
    main, other = opened(relay, relay.port, 0)
    with main, other, socket.create_connection(main.getsockname()) as connected, relay.config.open() as file:
        numbers = {"main": main, "other": other, "connected": connected, "file": file}
        relay.pass_fds = tuple(each.fileno() for each in (main, other, connected, file))
        monkeypatch.setenv("LISTEN_FDS", count)
        with pytest.raises(AssertionError, match="relay ended with 1"):
            await relay.start(ACTIVATED, fds.format(**{name: each.fileno() for name, each in numbers.items()}))
    log = relay.log.read_text()
    assert "socket_activation" in log
    assert says in log
    assert "Traceback" not in log
