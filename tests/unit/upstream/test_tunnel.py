"""Tunnels through an egress proxy that does whatever it likes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.settings.model import UpstreamSettings
from relay.upstream import Upstream, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from relay.upstream.tunnel import MAX_HEAD
from tests.services.certificates import self_signed
from tests.services.scripted_upstream import Call, Script, ScriptedUpstream, answering, ok, scripted

PASSWORD = "a%2Fpassword-of-the-proxy"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def tunnelling(port: int) -> Script:
    """A proxy that leads every tunnel to this port."""

    async def script(call: Call) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await call.send(ESTABLISHED)
        await asyncio.gather(_pump(call.reader, writer), _pump(reader, call.writer))

    return script


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def through(
    proxy: ScriptedUpstream, base_url: str, password: str | None = PASSWORD, **keys: object
) -> AsyncIterator[Upstream]:
    scheme, _, place = proxy.url.partition("://")
    url = f"{scheme}://relay:{password}@{place}" if password else proxy.url
    upstream = Upstream(UpstreamSettings.model_validate({"base_url": base_url, "proxy": url, **keys}))
    try:
        yield upstream
    finally:
        await upstream.close()


async def failure(script: Script, password: str | None = PASSWORD, **keys: object) -> UpstreamError:
    """How a request ends whose proxy does this."""
    async with scripted(script) as proxy, through(proxy, "https://upstream.test:8443", password, **keys) as upstream:
        with pytest.raises(UpstreamError) as caught:
            async with upstream.exchange("POST", "/", [], b"x"):
                pass
    assert not caught.value.sent
    assert caught.value.retriable
    assert PASSWORD not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("proxy_secure", [False, True], ids=["http proxy", "https proxy"])
@pytest.mark.parametrize("secure", [False, True], ids=["http upstream", "https upstream"])
async def test_requests_go_through_the_tunnel(
    certificate: tuple[Path, Path], server_tls: ssl.SSLContext, *, secure: bool, proxy_secure: bool
) -> None:
    """The upstream could not be reached from a network that only lets a proxy out; or the proxy would see the key."""
    async with scripted(answering(ok(b"a" * 300_000)), tls=server_tls if secure else None) as server:
        port = int(server.url.rpartition(":")[2])
        async with (
            scripted(tunnelling(port), tls=server_tls if proxy_secure else None) as proxy,
            through(proxy, server.url, ssl_cafile=str(certificate[0])) as upstream,
        ):
            for _ in range(2):
                async with upstream.exchange("POST", "/v3/x", [(b"Authorization", b"Bearer key")], b"body") as answer:
                    assert await answer.read(1 << 20) == b"a" * 300_000
        [tunnel] = proxy.calls
        assert tunnel.line == f"CONNECT 127.0.0.1:{port} HTTP/1.1"
        assert tunnel.fields == [
            (b"Host", b"127.0.0.1:%d" % port),
            (b"Proxy-Authorization", b"Basic cmVsYXk6YS9wYXNzd29yZC1vZi10aGUtcHJveHk="),
        ]
        assert [call.line for call in server.calls] == ["POST /v3/x HTTP/1.1"] * 2
        assert server.connections == 1
        assert not any(name.startswith(b"Proxy-") for call in server.calls for name, _ in call.fields)


async def test_a_name_is_resolved_by_the_proxy() -> None:
    """Where only the proxy may ask for names outside, nothing could be reached."""
    async with scripted(answering(ok())) as server, scripted(tunnelling(int(server.url.rpartition(":")[2]))) as proxy:
        async with through(proxy, "http://no-such-host.invalid", None) as upstream, upstream.exchange("GET", "/"):
            pass
        assert proxy.calls[0].line == "CONNECT no-such-host.invalid:80 HTTP/1.1"
        assert proxy.calls[0].header("proxy-authorization") is None


async def test_the_upstream_behind_the_proxy_has_to_be_the_right_one(server_tls: ssl.SSLContext) -> None:
    """A proxy could read the key and the chats, by leading relay to a server of its own."""
    async with (
        scripted(answering(ok()), tls=server_tls) as server,
        scripted(tunnelling(int(server.url.rpartition(":")[2]))) as proxy,
        through(proxy, server.url) as upstream,
    ):
        with pytest.raises(UpstreamUnreachable, match=r"cannot be reached: its certificate is not trusted") as caught:
            await upstream.connect()
        assert "upstream.base_url" in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "says", "advises"),
    [
        (
            b"407 X\r\nProxy-Authenticate: Basic realm=x",
            "refuses relay's user or password (HTTP 407)",
            "upstream.proxy",
        ),
        (b"401 Unauthorized", "refuses relay's user or password (HTTP 401)", "the user and the password"),
        (b"407 X\r\nProxy-Authenticate: NTLM", "takes no user and password (HTTP 407)", "the scheme Basic"),
        (b"403 Forbidden", "allows no tunnel to upstream.test:8443 (HTTP 403)", "allow CONNECT to upstream.test:8443"),
        (b"503 Away", "opened no tunnel to upstream.test:8443 (HTTP 503)", "whether the proxy reaches the upstream"),
        (b"302 Found\r\nLocation: /", "opened no tunnel to upstream.test:8443 (HTTP 302)", "its log says why"),
        (b"100 Continue", "opened no tunnel to upstream.test:8443 (HTTP 100)", "its log says why"),
        (b"200 OK\r\n\r\nmore", "cannot be used: its answer is too long", "upstream.proxy and the proxy"),
        (b"200 OK\r\nX: " + b"x" * MAX_HEAD, "cannot be used: its answer is too long", "upstream.proxy"),
        (b"200 OK\r\n x", "cannot be used: a header is not valid", "upstream.proxy"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_reported_with_what_to_do(answer: bytes, says: str, advises: str) -> None:
    """An operator would look for the fault at the upstream, or not know what to change."""
    error = await failure(answering(b"HTTP/1.1 " + answer + b"\r\n\r\n"))
    assert isinstance(error, UpstreamUnreachable)
    assert says in error.message
    assert advises in error.hint


async def test_a_proxy_that_wants_credentials_and_gets_none_says_so() -> None:
    """An operator would look for a wrong password, where there is none."""
    error = await failure(answering(ok(status="407 Proxy Authentication Required")), None)
    assert "wants a user and a password (HTTP 407)" in error.message


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 O", b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n"])
async def test_a_server_that_is_no_proxy_is_reported(said: bytes) -> None:
    """An operator would look for the fault elsewhere."""

    async def script(call: Call) -> None:
        await call.send(said)
        call.writer.close()

    error = await failure(script)
    assert "the egress proxy cannot be used: " in error.message


async def test_an_answer_without_an_end_is_cut_off() -> None:
    """A proxy could fill relay's memory, and keep a request waiting for as long as it sends."""
    sent = 0

    async def script(call: Call) -> None:
        nonlocal sent
        while sent < 1 << 30:
            await call.send(b"x" * 4096)
            sent += 4096

    error = await failure(script, connect_timeout=60.0)
    assert "its answer is too long" in error.message
    assert sent < 16 << 20, "what a socket holds, at most"


async def test_a_proxy_that_stays_silent_costs_the_connect_timeout() -> None:
    """A request would wait for a proxy that hangs, forever."""

    async def script(call: Call) -> None:
        await call.until_gone()

    error = await failure(script, connect_timeout=0.1)
    assert isinstance(error, UpstreamTimeout)
    assert error.message == (
        "The egress proxy, or the upstream behind it, did not answer within upstream.connect_timeout, 0.1 s."
    )


async def test_a_proxy_that_is_away_is_reported() -> None:
    """An operator would look for the fault at the upstream."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{unused.getsockname()[1]}"
        upstream = Upstream(UpstreamSettings.model_validate({"proxy": proxy}))
        with pytest.raises(UpstreamUnreachable, match="the egress proxy cannot be used: Connection refused") as caught:
            await upstream.connect()
    assert "upstream.proxy" in caught.value.hint
    await upstream.close()


async def test_credentials_that_were_replaced_are_read_when_the_old_ones_are_refused() -> None:
    """Requests would fail from the moment in which the proxy takes the new password until relay next looks for it."""
    new = "http://relay:new@"
    async with scripted(answering(ok())) as server:
        lead = tunnelling(int(server.url.rpartition(":")[2]))

        async def script(call: Call) -> None:
            if call.header("proxy-authorization") == "Basic cmVsYXk6bmV3":
                await lead(call)
            else:
                await call.send(ok(status="407 Proxy Authentication Required"))

        async with scripted(script) as proxy, through(proxy, server.url) as upstream:
            place = proxy.url.partition("://")[2]
            looked = 0

            async def renew() -> None:
                nonlocal looked
                looked += 1
                if looked > 1:
                    settings = UpstreamSettings.model_validate({"base_url": server.url, "proxy": new + place})
                    upstream.reconfigure(settings)

            upstream.renew = renew
            with pytest.raises(UpstreamUnreachable):  # nothing new yet
                await upstream.connect()
            async with upstream.exchange("POST", "/", [], b"x") as answer:
                assert answer.status == 200
        assert (looked, len(proxy.calls), len(server.calls)) == (2, 3, 1)


async def test_another_proxy_takes_over_and_nothing_is_cut_off() -> None:
    """A new password would wait for a restart; or requests under way would end with the old one."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def script(call: Call) -> None:
        if call.line.startswith("GET /slow"):
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
            begun.set()
            await release.wait()
            await call.send(b"b")
        else:
            await call.send(ok())

    async with scripted(script) as server:
        port = int(server.url.rpartition(":")[2])
        async with scripted(tunnelling(port)) as old, scripted(tunnelling(port)) as new:
            async with through(old, server.url) as upstream:
                async with upstream.exchange("GET", "/slow") as slow:
                    await begun.wait()
                    async with upstream.exchange("GET", "/idle") as idle:
                        await idle.read(10)
                    settings = UpstreamSettings.model_validate({"base_url": server.url, "proxy": new.url})
                    assert upstream.reconfigure(settings)
                    assert not upstream.reconfigure(settings), "it is no other one"
                    release.set()
                    assert await slow.read(10) == b"ab"
                async with upstream.exchange("GET", "/next"):
                    pass
            assert [len(proxy.calls) for proxy in (old, new)] == [2, 1]
            assert server.calls[-1].line == "GET /next HTTP/1.1"
