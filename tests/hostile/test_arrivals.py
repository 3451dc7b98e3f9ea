"""Clients that do not get as far as HTTP, or do not behave under it: headers of proxies, and TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from relay.edge.http.proxy_protocol import OWN_NAME
from tests.hostile.arrivals import HEADERS, HELLOS, hello, speaking
from tests.hostile.stage import WEBHOOK, Stage, closes, staged
from tests.services.certificates import self_signed
from tests.services.raw_http import Wire, get, post, wire

HEADER_TIMEOUT, KEEPALIVE_TIMEOUT, PARTING = 3.0, 2.0, 1.0
"""Seconds, as configured here; the last as it always is."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[Stage]:
    """A relay that wants the header of a proxy, and then TLS."""
    cert, key = certificate
    with staged(
        tmp_path_factory.mktemp("arrivals"),
        authorities=cert,
        server={
            "header_timeout": "3s",
            "keepalive_timeout": "2s",
            "tls": {"cert_file": str(cert), "key_file": str(key)},
            "proxy_protocol": True,
            "trusted_proxies": ["127.0.0.1"],
        },
        webhooks={"body_timeout": "1s"},
        reconcile={"enabled": False},
    ) as stage:
        asyncio.run(warm(stage, cert))
        yield stage


async def warm(stage: Stage, cert: Path) -> None:
    """What is loaded with the first connection is there."""
    async with secured(stage, cert) as connection:
        await connection.send(get("/", "Connection: close"))
        await connection.rest()
        connection.writer.transport.abort()


@asynccontextmanager
async def secured(stage: Stage, cert: Path) -> AsyncIterator[Wire]:
    """A connection with TLS."""
    async with wire(stage.url) as connection:
        await connection.send(OWN_NAME)
        context = ssl.create_default_context(cafile=str(cert))
        await connection.writer.start_tls(context, server_hostname="localhost")
        yield connection


async def visits(stage: Stage, said: bytes) -> None:
    """Says it, and then nothing, until the relay closes."""
    async with wire(stage.url) as connection:
        with suppress(ConnectionError):
            await connection.send(said)
        await closes(connection, HEADER_TIMEOUT + PARTING)
        connection.writer.transport.abort()  # what could not be sent never will be


async def drips(stage: Stage, said: bytes) -> None:
    """Says it byte by byte."""
    async with wire(stage.url) as connection:
        closing = asyncio.create_task(closes(connection, HEADER_TIMEOUT))
        with suppress(ConnectionError):
            for byte in said:
                await connection.send(bytes([byte]))
                await asyncio.wait([closing], timeout=0.3)
        await closing


async def test_no_header_of_a_proxy_costs_much(stage: Stage) -> None:
    """A stranger behind the balancer could name any client, hold connections forever, or fill the memory."""
    async with stage.case(mib=20, cpu=3, loop=100):
        await asyncio.gather(*(visits(stage, said) for said in HEADERS.values() for _ in range(20)))
        await asyncio.gather(*(drips(stage, OWN_NAME) for _ in range(100)))
    assert "request failed" not in stage.relay.log.read_text()


async def test_no_beginning_of_a_handshake_costs_much(stage: Stage) -> None:
    """A stranger could hold connections forever, or fill the memory, without ever showing who it is."""
    async with stage.case(mib=40, cpu=4, loop=100):
        await asyncio.gather(*(visits(stage, OWN_NAME + said) for said in HELLOS.values() for _ in range(20)))
        await asyncio.gather(*(drips(stage, OWN_NAME + hello()) for _ in range(100)))
    assert "request failed" not in stage.relay.log.read_text()


async def test_handshakes_by_the_hundred_stop_nothing_else(stage: Stage) -> None:
    """300 that came at once stopped everything, the probes too, for a seventh of a second, and more came for longer."""
    for _ in range(2):
        async with stage.case(mib=40, cpu=3, loop=60):
            await asyncio.gather(*(visits(stage, OWN_NAME + hello()) for _ in range(300)))


async def test_connections_that_are_cut_at_any_place_leave_nothing(
    stage: Stage, certificate: tuple[Path, Path]
) -> None:
    """Each client that vanishes without a farewell would stay in memory."""

    async def vanish(requested: bytes) -> None:
        for _ in range(10):
            async with secured(stage, certificate[0]) as connection:
                await connection.send(requested)
                connection.writer.transport.abort()  # no close_notify (RFC 8446, 6.1)

    half = post(WEBHOOK, b"x" * 100)[:-50]
    async with stage.case(mib=30, cpu=6, loop=100):
        before = stage.memory
        await asyncio.gather(*(vanish(request) for request in (b"", get("/"), half) for _ in range(8)))
        assert stage.memory - before < 20


async def test_who_asks_nothing_over_tls_is_gone_in_time(stage: Stage, certificate: tuple[Path, Path]) -> None:
    """Connections would be open for as long as strangers like."""

    async def idle(request: bytes, within: float) -> None:
        async with secured(stage, certificate[0]) as connection:
            await connection.send(request)
            await closes(connection, within + PARTING)

    async with stage.case(mib=30, cpu=3, loop=100):
        silent = [idle(b"", HEADER_TIMEOUT) for _ in range(40)]
        await asyncio.gather(*silent, *(idle(get("/"), KEEPALIVE_TIMEOUT) for _ in range(20)))


async def test_a_client_that_changes_its_keys_in_a_loop_is_parted_from(stage: Stage) -> None:
    """One connection of a stranger stopped everything for half a second, again and again: 27 us for 27 bytes."""

    def visit() -> None:
        with speaking(stage.relay.port) as (connection, client):
            _send_until_closed(connection, client.updates(5_000))

    async with stage.case(mib=20, cpu=0.3, loop=60), asyncio.timeout(20):
        while "records of TLS without content" not in stage.relay.log.read_text():
            await asyncio.to_thread(visit)  # again, where the log has had its lines for this second


def _send_until_closed(connection: socket.socket, data: bytes) -> None:
    connection.settimeout(10)
    with suppress(ConnectionError):
        connection.sendall(data)
        while connection.recv(65_536):
            pass


async def test_nobody_renegotiates(stage: Stage) -> None:
    """Each handshake within a connection costs relay a signature, and its client nothing (CVE-2011-1473)."""

    def visit() -> bool:
        with speaking(stage.relay.port, version=ssl.TLSVersion.TLSv1_2) as (_, client):
            return client.renegotiates()

    async with stage.case(mib=20, cpu=0.3, loop=60):
        assert not await asyncio.to_thread(visit)


async def test_small_records_with_content_are_welcome(stage: Stage, certificate: tuple[Path, Path]) -> None:
    """A client that writes its body in small pieces would be taken for an attacker, also while nobody reads it."""
    body = b'{"model":"m","messages":[' + b" " * 20_000 + b"]}"
    async with stage.case(mib=20, cpu=4, loop=100), secured(stage, certificate[0]) as connection:
        for _ in range(2):
            request = post("/openai/v1/chat/completions", body)
            for place in range(0, len(request), 3):
                connection.writer.write(request[place : place + 3])  # a record each
            await connection.writer.drain()
            assert (await connection.answer()).status == 200
