"""A whole relay between a client and an upstream."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from relay.core.errors import RelayError
from tests.services.certificates import self_signed
from tests.services.in_process import running
from tests.services.raw_http import ask, get, post, wire
from tests.services.scripted_upstream import Call, answering, chunks, ok, scripted
from tests.unit.edge.chat.chatting import asking, frame, streaming

PATHS = ["/openai/v1/models", "/openai/models", "/v3/openai/models/a%2Fb", "/v3/admin/x?y=1", "/v3beta/x"]


@pytest.mark.parametrize("path", PATHS)
async def test_the_upstreams_routes_reach_it_at_the_same_path(tmp_path: Path, path: str) -> None:
    """An SDK with the relay as its base address would not find what it calls."""
    async with (
        scripted(answering(ok(b"hello"))) as upstream,
        running(tmp_path, upstream={"base_url": upstream.url}) as relay,
    ):
        assert (await ask(relay.url, get(path), "GET")).body == b"hello"
        assert (await ask(relay.url, post(path, b"x"))).body == b"hello"
        assert [call.line for call in upstream.calls] == [f"GET {path} HTTP/1.1", f"POST {path} HTTP/1.1"]


async def test_the_relays_own_routes_do_not(tmp_path: Path) -> None:
    """Tokens in the path of webhooks would be sent to the upstream."""
    async with scripted(answering(ok())) as upstream, running(tmp_path, upstream={"base_url": upstream.url}) as relay:
        for path in ("/webhooks/novita/x", "/v1/events", "/", "/elsewhere", "/v3x/y"):
            await ask(relay.url, get(path), "GET")
        assert upstream.calls == []


async def test_a_stream_under_way_ends_with_the_relay(tmp_path: Path) -> None:
    """A client would wait for the rest of a stream forever, or take what it has for the whole."""

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks(b"one", end=False))
        await call.until_gone()

    sections = {"server": {"drain_timeout": "300ms"}}
    async with scripted(script) as upstream:
        async with running(tmp_path, upstream={"base_url": upstream.url}, **sections) as relay:
            connection = wire(relay.url)
            client = await connection.__aenter__()
            await client.send(get("/openai/v1/files/x/content"))
            await client.reader.readuntil(b"one\r\n")
        assert await client.rest() == b""
        await connection.__aexit__(None, None, None)
        assert upstream.calls[0].gone.is_set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that no authority vouches for, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


async def test_an_upstream_behind_tls_is_reached_if_it_is_the_right_one(
    tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key and the conversations would go to any server that answers; or the real upstream would be out of reach."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    frames = [frame("a" * 20_000), frame("b", "stop"), b"data: [DONE]\n\n"]
    async with scripted(streaming(*frames), tls=context) as upstream:
        known = {"base_url": upstream.url, "ssl_cafile": str(certificate[0])}
        async with running(tmp_path, upstream=known) as relay:
            for _ in range(2):
                async with wire(relay.url) as client:
                    await client.send(asking())
                    received = await client.reader.readuntil(b"0\r\n\r\n")
                    assert b"data: [DONE]" in received
                    assert received.count(b"a") > 20_000
            assert upstream.connections == 1
        async with running(tmp_path, upstream={"base_url": upstream.url}) as relay:
            answer = await ask(relay.url, asking())
            assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_unreachable")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))  # where OpenSSL looks for the system's authorities
        async with running(tmp_path, upstream={"base_url": upstream.url}) as relay:
            assert (await ask(relay.url, asking())).status == 200


async def test_a_file_without_certificates_is_reported_at_the_start(tmp_path: Path) -> None:
    """The relay would start, and reach no upstream."""
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(RelayError) as caught:
            async with running(tmp_path, upstream={"ssl_cafile": str(tmp_path / name)}):
                pass
        assert caught.value.code == "bad_certificates"
