"""Certificates that change while relay runs, that end, and that have ended."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.core.certificates import validity_of_pem
from tests.integration.test_cli import run
from tests.services.certificates import Authority, self_signed
from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import Call, chunks, scripted
from tests.unit.edge.chat.chatting import DONE, HEAD, PATH, frame

CHAT = {"model": "a/m", "stream": True, "messages": []}
ENDS = "relay_certificate_not_after_timestamp_seconds"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    """One that is not started yet."""
    made = RelayProcess(tmp_path / "relay")
    yield made
    made.kill()


async def renewed(relay: RelayProcess, *keys: str) -> None:
    """SIGHUP, and the line with which relay says which certificates have changed."""
    assert relay.process is not None
    relay.process.send_signal(signal.SIGHUP)
    await relay.until_logged(f'"changed":{json.dumps(keys, separators=(",", ":"))}')


async def test_a_new_ca_of_the_upstream_is_trusted_while_a_chat_goes_on(relay: RelayProcess, tmp_path: Path) -> None:
    """All chats would fail until a restart once a private CA is replaced; or those under way would be cut off."""
    cert, key = self_signed(tmp_path / "first")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    go_on = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(frame("a"), end=False))
        if b'"slow"' in call.body:
            await go_on.wait()
        await call.send(chunks(frame("b", "stop"), DONE))

    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(cert.read_bytes())
    async with scripted(script, tls=context) as upstream, aiohttp.ClientSession() as client:
        relay.configure(upstream={"base_url": upstream.url, "ssl_cafile": str(trusted)})
        await relay.start()

        async def chat() -> tuple[int, bytes]:
            async with client.post(relay.url + PATH, json=CHAT) as answer:
                return answer.status, await answer.read()

        async with client.post(relay.url + PATH, json=CHAT | {"user": "slow"}) as slow:
            begun = await slow.content.readuntil(b"\n\n")
            assert await relay.metric(ENDS, use="upstream") == validity_of_pem(cert.read_bytes()).ends
            other, other_key = self_signed(tmp_path / "second")
            context.load_cert_chain(other, other_key)
            (tmp_path / "second" / "cert.pem").replace(trusted)
            await renewed(relay, "upstream.ssl_cafile")
            status, body = await chat()
            assert (status, body.endswith(DONE)) == (200, True)
            assert await relay.metric(ENDS, use="upstream") == validity_of_pem(trusted.read_bytes()).ends
            trusted.write_text("half of a certificate")
            assert relay.process is not None
            relay.process.send_signal(signal.SIGHUP)
            await relay.until_logged("certificates not reloaded, the previous ones stay in force")
            assert (await chat())[0] == 200
            go_on.set()
            assert (begun + await slow.read()).endswith(DONE)
        assert await relay.stop() == 0
        async with asyncio.timeout(20):
            while upstream.connected:  # TLS takes a moment to end
                await asyncio.sleep(0.02)


async def test_certificates_that_have_ended_are_reported(relay: RelayProcess, tmp_path: Path) -> None:
    """Nobody would learn why no client trusts relay any more, or which of its certificates is to be renewed."""
    authority = Authority(tmp_path / "tls")
    tls = {}
    for use, days in (("server", 0), ("admin", 30), ("kafka", 0)):
        cert, key = authority.issue(use, days)
        tls[use] = {"cert_file": str(cert), "key_file": str(key)}
    kafka = {"type": "kafka", "bootstrap_servers": "127.0.0.1:1", "security_protocol": "SSL", "open_timeout": "1s"}
    shown = {"ssl_certfile": tls["kafka"]["cert_file"], "ssl_keyfile": tls["kafka"]["key_file"]}
    relay.configure(
        server={"tls": tls["server"]},
        admin={"tls": tls["admin"]},
        sinks=[kafka | shown],
        upstream={"base_url": "http://127.0.0.1:1"},
    )
    for command, key in (("doctor", "findings"), ("check --connect", "reached")):
        done = await asyncio.to_thread(run, *command.split(), "--json", "--config", relay.config)
        assert done.returncode == 1, done.stderr
        found: dict[str, Any] = {}
        for each in json.loads(done.stdout)[key]:
            found.setdefault(each.get("check") or each["name"], each)
        codes = {use: found[use]["code"] for use in ("server.tls", "admin.tls", "sink kafka")}
        expired = "certificate_expired"
        assert codes == {"server.tls": expired, "admin.tls": None, "sink kafka": expired}, command
        assert found["server.tls"]["hint"].startswith(f"Renew {tls['server']['cert_file']}")
        assert "its certificate is valid until 20" in found["admin.tls"]["message"]


async def test_a_renewal_moves_the_metric(relay: RelayProcess, tmp_path: Path) -> None:
    """The alert would go on after the renewal, or never have begun."""
    authority = Authority(tmp_path / "tls")
    cert, key = authority.issue("server", 2)
    relay.configure(server={"tls": {"cert_file": str(cert), "key_file": str(key)}})
    await relay.start()
    before = await relay.metric(ENDS, use="server.tls")
    assert before == validity_of_pem(cert.read_bytes()).ends
    authority.issue("server", 30)
    await renewed(relay, "server.tls")
    assert await relay.metric(ENDS, use="server.tls") == validity_of_pem(cert.read_bytes()).ends > before
