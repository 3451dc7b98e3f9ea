"""Listeners with TLS, behind a proxy that says for whom it connects, and on unix sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.test_cli import run
from tests.services.certificates import self_signed
from tests.services.haproxy import Haproxy
from tests.services.in_process import PATH, task
from tests.services.nginx import Nginx
from tests.services.ports import free_port
from tests.services.programs import open_folder
from tests.services.relay import TOKEN, RelayProcess

API_TOKEN = "api-token-of-enough-length-0123456789"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    """One that is not started yet."""
    made = RelayProcess(tmp_path / "relay", server={"api_tokens": [API_TOKEN]})
    yield made
    made.kill()


@pytest.fixture
def outside() -> Iterator[Path]:
    """For sockets: nginx' worker, another user where root runs the tests, may not enter pytest's folders."""
    with open_folder() as folder:
        yield folder


def certified(folder: Path) -> dict[str, str]:
    """The setting ``tls``, with a new certificate of its own."""
    cert, key = self_signed(folder)
    return {"cert_file": str(cert), "key_file": str(key)}


def trusting(tls: dict[str, str]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=tls["cert_file"])


async def launched(relay: RelayProcess) -> None:
    """Starts a relay whose admin listener may not speak plain HTTP."""
    relay.launch()
    await relay.until_logged("relay started", within=60.0)


async def reloaded(relay: RelayProcess, words: str, times: int) -> None:
    """SIGHUP, and so many lines with these words in the log."""
    assert relay.process is not None
    relay.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(20):
        while relay.log.read_text().count(words) < times:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def session(tls: dict[str, str] | None = None, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=trusting(tls), **options) if tls else aiohttp.TCPConnector(**options)
    async with aiohttp.ClientSession(connector=connector) as made:
        yield made


class Load:
    """Deliveries over TLS: on connections that stay, and on a new one each time. Each has to be accepted."""

    def __init__(self, relay: RelayProcess) -> None:
        self.sent = 0
        self._url = f"https://127.0.0.1:{relay.port}{PATH}"
        self._numbers = itertools.count()
        self._running = True
        self._tasks = [asyncio.create_task(self._send(keep=keep)) for keep in (True, True, False, False)]

    async def _send(self, *, keep: bool) -> None:
        while self._running:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as client:
                await self._deliver(client)
                while keep and self._running:
                    await self._deliver(client)

    async def _deliver(self, client: aiohttp.ClientSession) -> None:
        body, headers = task(f"t-{next(self._numbers)}"), {"Content-Type": "application/json"}
        async with client.post(self._url, data=body, headers=headers) as response:
            assert response.status == 200, await response.text()
        self.sent += 1

    async def goes_on(self, more: int) -> None:
        """Returns when so many more have been accepted. Fails if one was not."""
        wanted = self.sent + more
        async with asyncio.timeout(30):
            while self.sent < wanted:
                assert not any(each.done() for each in self._tasks), "a delivery failed"
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._running = False
        await asyncio.gather(*self._tasks)


async def shown(relay: RelayProcess) -> str:
    """The certificate that a new connection is shown, in PEM."""
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", relay.port))


async def test_certificates_are_renewed_under_load(relay: RelayProcess, tmp_path: Path) -> None:
    """Each renewal would cost deliveries, cut live streams off, or wait for a restart; a wrong one would end it all."""
    tls = certified(tmp_path / "tls")
    cert, key = tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem"
    relay.configure(server={"tls": tls})
    await relay.start()
    headers = {"Authorization": f"Bearer {API_TOKEN}", "Accept": "text/event-stream"}
    url = f"https://127.0.0.1:{relay.port}/v1/events?after=0"
    async with session(tls) as live, live.get(url, headers=headers) as stream:
        load = Load(relay)
        for renewal in (1, 2):
            certified(tmp_path / "next")
            (tmp_path / "next" / "key.pem").replace(key)  # one after the other, as certbot writes them
            await load.goes_on(5)
            (tmp_path / "next" / "cert.pem").replace(cert)
            await reloaded(relay, "certificates reloaded", renewal)
            assert await shown(relay) == cert.read_text()
            await load.goes_on(50)
        certified(tmp_path / "other")
        (tmp_path / "other" / "key.pem").replace(key)  # it does not fit the certificate
        await reloaded(relay, "certificates not reloaded, the previous ones stay in force", 1)
        assert await relay.metric("relay_config_last_reload_successful") == 0
        await load.goes_on(50)
        (tmp_path / "other" / "cert.pem").replace(cert)
        await reloaded(relay, "certificates reloaded", 3)
        assert await relay.metric("relay_config_last_reload_successful") == 1
        await load.stop()
        seen = 0
        async with asyncio.timeout(30):
            async for line in stream.content:
                seen += line.startswith(b"id: ")
                if seen == load.sent:
                    break
    assert await relay.metric("relay_journal_events") == load.sent


async def test_relays_own_commands_reach_listeners_with_tls(relay: RelayProcess, tmp_path: Path) -> None:
    """An operator could not ask a relay with TLS how it is, and the doctor would take it for down."""
    tls = certified(tmp_path / "tls")
    relay.configure(server={"tls": tls | {"client_ca_file": tls["cert_file"]}}, admin={"tls": tls})
    await launched(relay)
    async with session(tls) as client, client.get(f"https://127.0.0.1:{relay.admin_port}/readyz") as response:
        assert response.status == 200
    status = await asyncio.to_thread(run, "status", "--json", "--config", relay.config)
    assert status.returncode == 0, status.stderr
    doctor = await asyncio.to_thread(run, "doctor", "--json", "--config", relay.config)
    found = {each["check"]: each for each in json.loads(doctor.stdout)["findings"]}
    assert found["relay"]["message"] == "runs, and is ready"
    for port in (relay.port, relay.admin_port):
        old = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
        done = await asyncio.to_thread(subprocess.run, old, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        assert done.returncode == 1
    async with asyncio.timeout(10):
        while relay.log.read_text().count("it does not speak TLS 1.2 or newer") < 2:
            await asyncio.sleep(0.02)
    other = certified(tmp_path / "other")
    relay.configure(server={"tls": other})
    stranger = await asyncio.to_thread(run, "status", "--config", relay.config)
    assert (stranger.returncode, "its certificate is not trusted" in stranger.stderr) == (1, True)


async def test_behind_haproxy_the_client_is_who_connects_to_it(relay: RelayProcess, tmp_path: Path) -> None:
    """Every address list would have to let the proxy in, and with it everybody."""
    tls = certified(tmp_path / "tls")
    proxied = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"], "tls": tls}
    relay.configure(server=proxied, webhooks={"novita": {"tokens": [TOKEN], "allow_from": ["127.0.0.2"]}})
    await relay.start()
    async with Haproxy(tmp_path / "haproxy", relay.port) as proxy:
        url = f"https://127.0.0.1:{proxy.port}{PATH}"
        for address, status in (("127.0.0.2", 200), ("127.0.0.3", 403)):
            async with (
                session(tls, local_addr=(address, 0)) as client,
                client.post(url, data=task("t-1"), headers={"Content-Type": "application/json"}) as response,
            ):
                assert response.status == status
        assert '"peer":"127.0.0.3"' in relay.log.read_text()
    status = await asyncio.to_thread(run, "status", "--config", relay.config)
    assert status.returncode == 0, status.stderr


async def test_behind_nginx_on_a_unix_socket(relay: RelayProcess, tmp_path: Path, outside: Path) -> None:
    """A proxy on this machine would need a port that every user reaches; or a killed relay would not start again."""
    folder = outside
    relay.configure(server={"host": f"unix:{folder}/main"}, admin={"host": f"unix:{folder}/admin"})
    await launched(relay)
    relay.kill()
    assert (folder / "main").is_socket()
    relay.log.write_text("")
    await launched(relay)
    (folder / "main").chmod(0o666)  # nginx' worker is another user, where root starts it
    port = free_port()
    site = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{folder}/main; }} }}"
    async with Nginx(tmp_path / "nginx", site=site, port=port) as nginx, session() as client:
        headers = {"Content-Type": "application/json"}
        async with client.post(nginx.url + PATH, data=task("t-1"), headers=headers) as response:
            assert response.status == 200
    status = await asyncio.to_thread(run, "status", "--config", relay.config)
    assert status.returncode == 0, status.stderr
    headers = {"Authorization": f"Bearer {API_TOKEN}", "Accept": "text/event-stream"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(f"{folder}/main")) as client,
        client.get("http://relay/v1/events?after=0", headers=headers, timeout=aiohttp.ClientTimeout(20)) as stream,
    ):
        assert (await stream.content.readuntil(b"id: 1\n")).endswith(b"id: 1\n")
    by_path = await asyncio.to_thread(run, "status", "--url", f"unix:{folder}/main", RELAY_API_TOKEN=API_TOKEN)
    assert by_path.returncode == 0, by_path.stderr
    assert await relay.stop() == 0
    assert list(folder.iterdir()) == []
