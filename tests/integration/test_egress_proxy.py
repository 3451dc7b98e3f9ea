"""A relay that reaches its upstream only through an egress proxy that wants a user and a password: squid, tinyproxy."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.test_cli import run
from tests.services.certificates import self_signed
from tests.services.egress_proxies import PASSWORDS, UPSTREAM, USER, EgressProxy, egress_proxy
from tests.services.ports import free_port
from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import Call, ScriptedUpstream, chunks, ok, scripted
from tests.unit.edge.chat.chatting import HEAD, PATH, frame

USERS = (USER, "relay-2", "relay-3")
SECRETS = (*PASSWORDS.values(), "password%2Fof%3Athe%40proxy", "cmVsYXk6")
"""In every form in which a log could have them; the last is how ``relay:`` begins in base64."""
TASK = json.dumps({"task_id": "t-1"}).encode()
ENDED = json.dumps({"task": {"task_id": "t-1", "status": "TASK_STATUS_SUCCEED"}, "images": []}).encode()


@pytest.fixture(scope="module", params=["squid", "tinyproxy"])
def proxy(request: pytest.FixtureRequest) -> Iterator[EgressProxy]:
    with egress_proxy(request.param) as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), UPSTREAM)


@dataclass
class Behind:
    """A relay whose upstream is behind a proxy."""

    relay: RelayProcess
    upstream: ScriptedUpstream
    proxy: EgressProxy
    address: Path
    """The file of ``upstream.proxy``."""

    def say(self, **credentials: str) -> None:
        """Puts another address into the file, as Kubernetes replaces a mounted secret."""
        replacement = self.address.with_suffix(".new")
        replacement.write_text(self.proxy.url(**credentials))
        replacement.replace(self.address)

    async def chat(self) -> tuple[int, bytes]:
        """The status and the body of a chat's answer."""
        return await self._post(PATH, {"model": "a/m", "stream": True, "messages": []})

    async def submit(self) -> tuple[int, bytes]:
        return await self._post("/v3/async/txt2img", {})

    async def _post(self, path: str, body: Any) -> tuple[int, bytes]:
        async with aiohttp.ClientSession() as session, session.post(self.relay.url + path, json=body) as response:
            return response.status, await response.read()

    def asked(self, line: str) -> int:
        return sum(call.line.startswith(line) for call in self.upstream.calls)

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.relay.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]


@asynccontextmanager
async def behind(
    proxy: EgressProxy, certificate: tuple[Path, Path], folder: Path, *, close: bool = False
) -> AsyncIterator[Behind]:
    """``close``: the upstream closes each connection after one answer, so that each request needs a tunnel."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    extra = ("Connection: close",) if close else ()

    async def script(call: Call) -> None:
        if call.line.startswith("POST /openai"):
            head = HEAD[:-2] + b"Connection: close\r\n\r\n" if close else HEAD
            await call.send(head, chunks(frame("a", "stop"), b"data: [DONE]\n\n"))
        elif call.line.startswith("POST /v3"):
            await call.send(ok(TASK, *extra))
        else:
            await call.send(ok(ENDED, *extra))
        if close:
            call.writer.close()

    name = UPSTREAM if proxy.kind == "squid" else "localhost"
    address = folder / "proxy"
    async with scripted(script, tls=context) as upstream:
        relay = RelayProcess(
            folder / "relay",
            upstream={
                "base_url": f"https://{name}:{upstream.url.rpartition(':')[2]}",
                "ssl_cafile": str(certificate[0]),
                "proxy_file": str(address),
            },
            reconcile={"first_after": "100ms", "every": "100ms"},
        )
        made = Behind(relay, upstream, proxy, address)
        made.say()
        await relay.start()
        try:
            yield made
        finally:
            relay.kill()


async def test_everything_goes_through_the_proxy_and_a_wrong_password_is_reported(
    proxy: EgressProxy, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """Nothing would work in a network that only lets a proxy out; or nobody would learn why nothing does."""
    async with behind(proxy, certificate, tmp_path) as made:
        relay = made.relay
        assert (await made.chat())[0] == 200
        assert (await made.submit())[0] == 200
        async with asyncio.timeout(20):
            while not made.asked("GET /v3/async/task-result?task_id=t-1"):
                await asyncio.sleep(0.02)
        [used] = made.lines("upstream through an egress proxy")
        assert (used["egress_proxy"], used["source"]) == (f"http://127.0.0.1:{proxy.port}", "upstream.proxy")

        checked = await asyncio.to_thread(run, "check", "--connect", "--config", relay.config)
        assert checked.returncode == 0, checked.stdout
        assert f"through the egress proxy http://127.0.0.1:{proxy.port} (upstream.proxy)" in checked.stdout
        assert "TLSv1.3, its certificate is valid until 20" in checked.stdout

        made.say(password="wrong-password-of-the-proxy")
        before = len(made.upstream.calls)
        await reloaded(made)
        for ask in (made.chat, made.submit):
            status, body = await ask()
            assert (status, b"the egress proxy refuses relay's user or password" in body) == (502, True)
        assert len(made.upstream.calls) == before
        [failed] = made.lines("upstream not reached")
        assert "check the user and the password in upstream.proxy" in failed["hint"]
        assert await relay.metric("relay_upstream_up") == 0
        doctor = await asyncio.to_thread(run, "doctor", "--json", "--config", relay.config)
        [found] = [
            each
            for each in json.loads(doctor.stdout)["findings"]
            if (each["check"], each["status"]) == ("upstream", "failed")
        ]
        assert found["hint"] == "Check the user and the password in upstream.proxy."

        made.say()
        await reloaded(made)
        assert (await made.chat())[0] == 200
        assert await relay.metric("relay_upstream_up") == 1
        said = relay.log.read_text() + checked.stdout + doctor.stdout + doctor.stderr
        assert not any(secret in said for secret in (*SECRETS, "wrong-password-of-the-proxy"))


async def reloaded(made: Behind) -> None:
    """SIGHUP, and the answer to it."""
    before = len(made.lines("configuration reloaded"))
    assert made.relay.process is not None
    made.relay.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(20):
        while len(made.lines("configuration reloaded")) == before:
            await asyncio.sleep(0.02)


async def test_an_upstream_that_the_proxy_does_not_allow_is_reported(
    proxy: EgressProxy, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """An operator would look for the fault at the upstream, and not in the proxy's rules."""
    relay = RelayProcess(tmp_path, upstream={"base_url": "https://elsewhere.test", "proxy": proxy.url()})
    done = await asyncio.to_thread(run, "check", "--connect", "--config", relay.config)
    assert done.returncode == 1
    assert "the egress proxy allows no tunnel to elsewhere.test:443 (HTTP 403)" in done.stdout
    assert "Have the proxy allow CONNECT to elsewhere.test:443." in done.stdout


async def test_the_environment_names_the_proxy(proxy: EgressProxy, tmp_path: Path) -> None:
    """relay would not get out where everything else on the machine does."""
    relay = RelayProcess(tmp_path, upstream={"base_url": "https://elsewhere.test"})
    for variable in ("HTTPS_PROXY", "https_proxy"):
        done = await asyncio.to_thread(run, "check", "--connect", "--config", relay.config, **{variable: proxy.url()})
        assert "the egress proxy allows no tunnel to elsewhere.test:443" in done.stdout
        assert f"({variable})" in done.stdout
        assert not any(secret in done.stdout + done.stderr for secret in SECRETS)
    exempt = {"HTTPS_PROXY": proxy.url(), "NO_PROXY": "10.0.0.0/8,.test"}
    done = await asyncio.to_thread(run, "check", "--connect", "--config", relay.config, **exempt)
    assert "its name cannot be resolved" in done.stdout


@pytest.mark.parametrize("proxy", ["squid"], indirect=True)  # tinyproxy does not listen while it reads its file again
async def test_credentials_are_rotated_under_load(
    proxy: EgressProxy, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """Each rotation of the proxy's credentials would cost chats and submissions, or send some of them twice."""
    loop = asyncio.get_running_loop()
    async with behind(proxy, certificate, tmp_path, close=True) as made:
        running, done, failed, gaps = True, 0, [], []

        async def client(ask: Any) -> None:
            nonlocal done
            last = loop.time()
            while running:
                status, body = await ask()
                if status == 200:
                    done += 1
                    gaps.append(loop.time() - last)
                    last = loop.time()
                else:
                    failed.append(body)

        load = asyncio.gather(*(client(ask) for ask in (made.chat, made.submit) * 3))
        for old, new in pairwise(USERS):  # none twice: squid remembers for a while whom it has refused
            before = len(made.lines("configuration reloaded"))
            proxy.allow(old, new)
            made.say(user=new)
            proxy.allow(new)
            async with asyncio.timeout(30):
                while len(made.lines("configuration reloaded")) == before:
                    await asyncio.sleep(0.02)
            before = done
            async with asyncio.timeout(30):
                while done < before + 60:
                    await asyncio.sleep(0.02)
        running = False
        await load
        assert failed == []
        assert made.asked("POST") == done
        assert max(gaps) < 5
        assert not any(secret in made.relay.log.read_text() for secret in SECRETS)


async def test_a_proxy_that_is_away_is_reported(tmp_path: Path) -> None:
    """An operator would look for the fault at the upstream."""
    proxy = f"http://127.0.0.1:{free_port()}"
    relay = RelayProcess(tmp_path, upstream={"base_url": "https://elsewhere.test", "proxy": proxy})
    done = await asyncio.to_thread(run, "check", "--connect", "--config", relay.config)
    assert done.returncode == 1
    assert "the egress proxy cannot be used: Connection refused" in done.stdout
