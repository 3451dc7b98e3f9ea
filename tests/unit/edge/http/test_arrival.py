"""What comes before HTTP: a proxy's header and TLS, by peers that do whatever they like."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from relay.edge.http.auth import networks
from relay.edge.http.listener import Listener
from relay.edge.http.proxy_protocol import SIGNATURE
from relay.edge.http.server import Limits, Preamble
from relay.edge.http.tls import Certificate
from relay.settings.tls import TlsSettings
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.telemetry import Telemetry
from tests.services.certificates import self_signed
from tests.services.raw_http import Wire, ask, get, wire

LOOPBACK = networks(["127.0.0.0/8"])
CLIENT = SIGNATURE + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 10, 0, 0, 1]) + b"\x04\xd2\x01\xbb"
ITSELF = SIGNATURE + b"\x20\0\0\0"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsSettings:
    cert, key = self_signed(tmp_path_factory.mktemp("tls"))
    return TlsSettings(cert_file=cert, key_file=key)


@pytest.fixture
def certificate(files: TlsSettings) -> Certificate:
    return Certificate(files, "server")


def trusting(files: TlsSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files.cert_file)


async def remote(request: web.BaseRequest) -> web.StreamResponse:
    """Answers who asks."""
    return web.Response(text=request.remote)


class Noted(HttpSignals):
    """Remembers why connections were refused."""

    def __init__(self) -> None:
        super().__init__(Telemetry())
        self.reasons: list[str] = []

    def connection_refused(self, peer: str, reason: str) -> None:
        super().connection_refused(peer, reason)
        self.reasons.append(reason)


@asynccontextmanager
async def listening(
    preamble: Preamble, limits: Limits | None = None, host: str = "127.0.0.1", signals: HttpSignals | None = None
) -> AsyncIterator[Listener]:
    signals = signals or Noted()
    listener = Listener(remote, host=host, port=0, limits=limits or Limits(), signals=signals, preamble=preamble)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop(1.0)
    assert listener.server.arriving == 0


@asynccontextmanager
async def secured(url: str, context: ssl.SSLContext, before: bytes = b"") -> AsyncIterator[Wire]:
    """A connection with TLS, and what comes before it."""
    async with wire(url) as connection:
        await connection.send(before)
        await connection.writer.start_tls(context, server_hostname="localhost")
        yield connection


async def until(condition: object) -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def test_requests_over_tls_are_answered(files: TlsSettings, certificate: Certificate) -> None:
    """Tokens and chats would cross the network in clear text."""
    async with listening(Preamble(certificate)) as listener:
        assert listener.url.startswith("https://")
        async with secured(listener.url, trusting(files)) as client:
            for _ in range(2):
                await client.send(get("/"))
                assert (await client.answer("GET")).body == b"127.0.0.1"
            assert client.writer.get_extra_info("ssl_object").version() == "TLSv1.3"


async def test_old_versions_of_tls_are_refused(files: TlsSettings, certificate: Certificate) -> None:
    """Somebody on the way could have both sides fall back to a version that is broken."""
    context = trusting(files)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with listening(Preamble(certificate)) as listener:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with secured(listener.url, context):
                pass


async def test_http_in_clear_text_is_answered_with_what_to_do(certificate: Certificate) -> None:
    """Somebody with a wrong address would see a connection that closes, and not know why."""
    async with listening(Preamble(certificate)) as listener, wire(listener.url) as client:
        await client.send(get("/"))
        answer = await client.answer("GET")
        assert (answer.status, answer.code) == (400, "bad_request")
        assert "https://" in answer.json["detail"]
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=["nothing", "a byte", "a part"]
)
async def test_a_handshake_without_an_end_is_ended(certificate: Certificate, said: bytes) -> None:
    """A stranger could hold connections forever, for a byte each."""
    noted = Noted()
    preamble = Preamble(certificate, timeout=0.2)
    async with listening(preamble, signals=noted) as listener, wire(listener.url) as client:
        await client.send(said)
        assert await client.rest() == b""
        await until(lambda: listener.server.arriving == 0)
    assert len(noted.reasons) == 1


async def test_handshakes_count_to_the_connections_and_make_room(files: TlsSettings, certificate: Certificate) -> None:
    """A stranger could keep everybody out, or take more connections than there may be, by handshakes without an end."""
    limits = Limits(max_connections=4)
    async with listening(Preamble(certificate, timeout=60.0), limits) as listener, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(wire(listener.url)) for _ in range(12)]
        await until(lambda: listener.server.arriving == 4)
        await asyncio.sleep(0.1)
        assert listener.server.arriving <= 4
        async with secured(listener.url, trusting(files)) as client:
            await client.send(get("/"))
            assert (await client.answer("GET")).status == 200
        for each in silent:
            each.writer.transport.abort()


async def test_a_renewed_certificate_counts_for_new_connections(tmp_path: Path) -> None:
    """Each renewal would need a restart, or cut connections off; a broken file would end the listener."""
    cert, key = self_signed(tmp_path / "tls")
    settings = TlsSettings(cert_file=cert, key_file=key)
    certificate, old = Certificate(settings, "server"), trusting(settings)
    async with listening(Preamble(certificate)) as listener, secured(listener.url, old) as before:
        assert not certificate.renew()
        self_signed(tmp_path / "tls")
        assert certificate.renew()
        with pytest.raises(ssl.SSLCertVerificationError):
            async with secured(listener.url, old):
                pass
        new = trusting(settings)
        cert.write_text("no certificate")
        with pytest.raises(Exception, match=r"server\.tls\.cert_file and key_file cannot be used"):
            certificate.renew()
        async with secured(listener.url, new) as after:
            for client in (before, after):
                await client.send(get("/"))
                assert (await client.answer("GET")).status == 200


async def test_clients_need_a_certificate_where_a_ca_is_named(tmp_path: Path, files: TlsSettings) -> None:
    """Everybody who reaches the port would be let in, although only owners of certificates may be."""
    cert, key = self_signed(tmp_path)
    certificate = Certificate(files.model_copy(update={"client_ca_file": cert}), "server")
    async with listening(Preamble(certificate)) as listener:
        for known in (False, True):
            context = trusting(files)
            if known:
                context.load_cert_chain(cert, key)
            async with secured(listener.url, context) as client:
                try:
                    await client.send(get("/"))
                    status = (await client.answer("GET")).status
                except (OSError, asyncio.IncompleteReadError):
                    status = 0
            assert status == (200 if known else 0)


@pytest.mark.parametrize("name", ["cert_file", "key_file", "client_ca_file"])
def test_files_that_cannot_be_used_are_reported_by_their_setting(tmp_path: Path, files: TlsSettings, name: str) -> None:
    """An operator would look for the fault in the wrong file."""
    (tmp_path / "broken.pem").write_text("nothing of the kind")
    for file in ("broken.pem", "missing.pem"):
        with pytest.raises(Exception, match=rf"admin.tls.*{name} cannot be used|cert_file and key_file cannot"):
            Certificate(files.model_copy(update={name: tmp_path / file}), "admin")


# -- a proxy's header ----------------------------------------------------------------------------------------------


async def test_the_client_is_whom_the_proxy_names(files: TlsSettings, certificate: Certificate) -> None:
    """Address lists and logs would know the proxy only."""
    async with listening(Preamble(None, LOOPBACK)) as listener:
        assert (await ask(listener.url, CLIENT + get("/"), "GET")).body == b"192.0.2.7"
        assert (await ask(listener.url, ITSELF + get("/"), "GET")).body == b"127.0.0.1"
    async with (
        listening(Preamble(certificate, LOOPBACK)) as listener,
        secured(listener.url, trusting(files), CLIENT) as client,
    ):
        await client.send(get("/"))
        assert (await client.answer("GET")).body == b"192.0.2.7"


async def test_a_header_may_come_in_pieces() -> None:
    """A slow network would cost connections."""
    async with listening(Preamble(None, LOOPBACK)) as listener, wire(listener.url) as client:
        for byte in CLIENT:
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        await client.send(get("/"))
        assert (await client.answer("GET")).body == b"192.0.2.7"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 443\r\n" + get("/"), "PROXY protocol: version 1"),
        (get("/"), "PROXY protocol: no header"),
        (CLIENT[:20], "no answer in time"),
        (SIGNATURE + b"\x21\x11\xff\xff", "PROXY protocol: a header that is too long"),
    ],
)
async def test_what_is_no_header_is_refused(said: bytes, reason: str) -> None:
    """Who gets past the proxy could say that they are somebody else, or hold connections for nothing."""
    noted = Noted()
    preamble = Preamble(None, LOOPBACK, timeout=0.2)
    async with listening(preamble, signals=noted) as listener, wire(listener.url) as client:
        await client.send(said)
        with suppress(ConnectionResetError):  # what it sent was not read
            assert await client.rest() == b""
        await until(lambda: listener.server.arriving == 0)
    assert noted.reasons == [reason]


async def test_only_trusted_proxies_may_introduce_somebody() -> None:
    """Anybody could claim any address."""
    noted = Noted()
    preamble = Preamble(None, networks(["10.0.0.0/8"]))
    async with listening(preamble, signals=noted) as listener, wire(listener.url) as client:
        await client.send(CLIENT + get("/"))
        with suppress(ConnectionResetError):  # what it sent was not read
            assert await client.rest() == b""
    assert noted.reasons == ["PROXY protocol: not from one of server.trusted_proxies"]


# -- a unix socket -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preamble", [Preamble(), Preamble(None, ())], ids=["plain", "behind a proxy"])
async def test_a_unix_socket_serves_and_leaves_nothing_behind(tmp_path: Path, preamble: Preamble) -> None:
    """A proxy on the same machine would need a port that every user of the machine reaches."""
    path = tmp_path / "relay.sock"
    async with listening(preamble, host=f"unix:{path}") as listener:
        assert listener.url == f"unix:{path}"
        for said, expected in ((ITSELF, b"127.0.0.1"), (CLIENT, b"192.0.2.7")) if preamble else ((b"", b"127.0.0.1"),):
            reader, writer = await asyncio.open_unix_connection(path)
            client = Wire(reader, writer)
            await client.send(said + get("/"))
            assert (await client.answer("GET")).body == expected
            writer.close()
    assert not path.exists()
