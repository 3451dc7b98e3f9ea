"""The way to the upstream over networks and through servers that are old, half dead or badly kept."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.integration.test_cli import run
from tests.services.certificates import Authority
from tests.services.egress_proxies import EgressProxy, egress_proxy
from tests.services.ports import free_port
from tests.services.programs import Listening
from tests.services.raw_http import Answer, ask, post
from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import Call, answering, ok, scripted

CHAT = "/openai/v1/chat/completions"
BODY = b'{"model":"m","messages":[]}'
ANSWER = ok(b'{"id":"c","object":"chat.completion","choices":[]}', "Content-Type: application/json")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def chat(relay: RelayProcess) -> Answer:
    return await ask(relay.url, post(CHAT, BODY, "Connection: close"))


# -- an egress proxy with TLS ------------------------------------------------------------------------------------------


@asynccontextmanager
async def behind(proxy: EgressProxy, authority: Authority, folder: Path) -> AsyncIterator[RelayProcess]:
    """A relay whose upstream, with TLS, is behind a proxy, and which trusts this authority."""
    async with scripted(answering(ANSWER), tls=server_context(*authority.issue("upstream"))) as upstream:
        settings = {
            "base_url": f"https://localhost:{upstream.url.rpartition(':')[2]}",
            "proxy": proxy.url(),
            "ssl_cafile": str(authority.cert),
        }
        relay = RelayProcess(folder, upstream=settings)
        await relay.start()
        try:
            yield relay
        finally:
            relay.kill()


async def test_an_egress_proxy_may_speak_tls(authority: Authority, tmp_path: Path) -> None:
    """The credentials for a proxy would cross the network in clear text, or nothing would work."""
    with egress_proxy("squid", authority.issue("proxy")) as proxy:
        async with behind(proxy, authority, tmp_path) as relay:
            assert (await chat(relay)).status == 200
            checked = await asyncio.to_thread(run, "check", "--connect", "--config", relay.config)
            assert checked.returncode == 0, checked.stdout
            assert f"through the egress proxy https://127.0.0.1:{proxy.port} (upstream.proxy)" in checked.stdout
        assert proxy.asked


@pytest.mark.parametrize("days", [0, 2], ids=["expired", "of an unknown authority"])
async def test_a_proxy_whose_certificate_is_not_good_gets_no_credentials(
    authority: Authority, tmp_path: Path, days: int
) -> None:
    """Somebody between relay and the proxy would get the password, or nobody learn which certificate is meant."""
    issuer = authority if days == 0 else Authority(tmp_path / "stranger")
    reason = "certificate has expired" if days == 0 else "unable to get local issuer certificate"
    says = f"the egress proxy cannot be used: its certificate is not trusted ({reason})"
    advice = (
        "heck upstream.proxy; renew the certificate if it has ended, or name the file of its CA in upstream.ssl_cafile"
    )
    with egress_proxy("squid", issuer.issue("proxy", days)) as proxy:
        async with behind(proxy, authority, tmp_path / "relay") as relay:
            answer = await chat(relay)
            assert (answer.status, says in answer.json["error"]["message"]) == (502, True)
            for command in ("check --connect", "doctor"):
                done = await asyncio.to_thread(run, *command.split(), "--config", relay.config, COLUMNS="400")
                assert done.returncode == 1
                assert says in done.stdout
                assert f"C{advice}" in done.stdout
            log = relay.log.read_text()
            [line] = [json.loads(each) for each in log.splitlines() if "upstream not reached" in each]
            assert advice in line["hint"]
            assert proxy.password not in log + done.stdout
        assert not proxy.asked


# -- versions of TLS ---------------------------------------------------------------------------------------------------


class Old(Listening):
    """A server that speaks TLS 1.1 only."""

    def __init__(self, port: int, cert: Path, key: Path) -> None:
        super().__init__(port)
        self._files = ("-cert", str(cert), "-key", str(key))

    def command(self) -> Sequence[str]:
        """What starts it."""
        version = ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        return ("openssl", "s_server", "-quiet", "-port", str(self.port), *version, *self._files)


async def test_no_server_is_spoken_to_by_an_old_version_of_tls(authority: Authority, tmp_path: Path) -> None:
    """Somebody on the way could have both sides fall back to a version that is broken."""
    port = free_port()
    place, ca = f"127.0.0.1:{port}", str(authority.cert)
    kafka = {"type": "kafka", "bootstrap_servers": place, "security_protocol": "SSL", "ssl_cafile": ca}
    redis = {"type": "redis", "url": f"rediss://{place}", "ssl_ca_certs": ca}
    relay = RelayProcess(tmp_path, upstream={"base_url": f"https://{place}", "ssl_cafile": ca}, sinks=[kafka, redis])
    async with Old(port, *authority.issue("old")):
        done = await asyncio.to_thread(run, "check", "--connect", "--config", relay.config, COLUMNS="400")
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if "it does not speak TLS 1.2 or newer" in line]
    assert len(failed) == 3, done.stdout


# -- addresses and connections -----------------------------------------------------------------------------------------


@contextmanager
def hanging(port: int) -> Iterator[None]:
    """An address of IPv6 with this port, which takes no connection and refuses none: its queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_INET6))
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(("::1", port))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(socket.AF_INET6))
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield


async def test_an_address_of_ipv6_that_hangs_costs_a_moment(tmp_path: Path) -> None:
    """Every chat would wait for ``connect_timeout``, and fail, where IPv6 is configured and leads nowhere."""
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 upstream.test\n127.0.0.1 upstream.test localhost\n")
    async with scripted(answering(ANSWER)) as server:
        port = int(server.url.rpartition(":")[2])
        with hanging(port):
            settings = {"base_url": f"http://upstream.test:{port}", "connect_timeout": "60s"}
            relay = RelayProcess(tmp_path / "relay", upstream=settings)
            relay.resolve_by(hosts)
            await relay.start()
            try:
                async with asyncio.timeout(20):
                    assert (await chat(relay)).status == 200
            finally:
                relay.kill()
        assert server.connections == 1


@pytest.mark.parametrize("path", [CHAT, "/v3/async/txt2img"])
async def test_what_may_have_arrived_is_never_sent_again(path: str, tmp_path: Path) -> None:
    """A chat or a task would be paid for twice, whenever an upstream closes a connection as a request is sent."""
    closing = False

    async def script(call: Call) -> None:
        if closing:
            call.writer.close()
        else:
            await call.send(ANSWER)

    async with scripted(script) as server:
        relay = RelayProcess(tmp_path, upstream={"base_url": server.url})
        await relay.start()
        try:
            assert (await chat(relay)).status == 200
            closing = True
            answer = await ask(relay.url, post(path, BODY, "Connection: close"))
            assert answer.status == 502
        finally:
            relay.kill()
        assert [call.line.split()[1] for call in server.calls] == [CHAT, path]
        assert server.connections == 1
