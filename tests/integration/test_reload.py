"""Secrets, clients and the log's level change under a running relay; nothing else does, and nothing wrong does."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from relay.app.relay import Relay
from relay.app.reload import Reloader
from relay.settings import Settings, load
from tests.services.relay import TOKEN, RelayProcess

OTHER = "other-token-of-enough-length-9876543210"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    process = RelayProcess(tmp_path / "relay", server={"api_tokens": [TOKEN]})
    yield process
    process.kill()


async def deliver(relay: RelayProcess, token: str, task: str) -> int:
    body = {"task": {"task_id": task, "status": "TASK_STATUS_SUCCEED"}}
    url = f"{relay.url}/webhooks/novita/{token}"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        return response.status


async def events(relay: RelayProcess, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.get(f"{relay.url}/v1/events", headers=headers) as response:
        return response.status


def rewrite(relay: RelayProcess, **sections: dict[str, Any]) -> None:
    config = json.loads(relay.config.read_text())
    for name, section in sections.items():
        config[name] = {**config.get(name, {}), **section}
    relay.config.write_text(json.dumps(config))


def lines(relay: RelayProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in relay.log.read_text().splitlines()]


async def hang_up(relay: RelayProcess) -> dict[str, Any]:
    """SIGHUP; the line with which the relay answers it."""
    before = len(lines(relay))
    assert relay.process is not None
    relay.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(10):
        while not (reloads := [line for line in lines(relay)[before:] if "reloaded" in line["event"]]):
            await asyncio.sleep(0.02)
    return reloads[0]


async def test_a_secret_file_that_hangs_keeps_no_other_secret_and_no_exit(tmp_path: Path, relay: RelayProcess) -> None:
    """Broken: one dead mount keeps a revoked token valid forever, and the relay from ending."""
    hangs, tokens = tmp_path / "hangs", tmp_path / "tokens"
    hangs.write_text("key-of-the-upstream")
    tokens.write_text(TOKEN)
    novita = {"tokens": None, "tokens_file": str(tokens)}
    clients = {"web": {"key": "key-of-a-client-0123456789"}}
    rewrite(relay, webhooks={"novita": novita}, upstream={"api_key_file": str(hangs)}, proxy={"clients": clients})
    await relay.start()
    assert await deliver(relay, TOKEN, "a") == 200
    hangs.unlink()
    os.mkfifo(hangs)  # nobody writes to it
    tokens.write_text(OTHER)
    logged = await hang_up(relay)
    assert logged["changed"] == ["webhooks.novita.tokens"]
    assert [await deliver(relay, token, "b") for token in (TOKEN, OTHER)] == [401, 200]
    assert [line["files"] for line in lines(relay) if "cannot be read" in line["event"]] == [[str(hangs)]]
    assert await relay.metric("relay_config_last_reload_successful") == 0
    hangs.unlink()
    hangs.write_text("key-of-the-upstream")
    await hang_up(relay)
    assert await relay.metric("relay_config_last_reload_successful") == 1
    assert await relay.stop(within=15) == 0


def test_a_start_says_which_secret_file_hangs(tmp_path: Path, relay: RelayProcess) -> None:
    """Broken: a start would hang, and nobody would know why."""
    os.mkfifo(tmp_path / "hangs")
    rewrite(relay, webhooks={"novita": {"tokens": None, "tokens_file": str(tmp_path / "hangs")}})
    relay.launch()
    assert relay.process is not None
    assert relay.process.wait(20) == 78
    assert "did not answer within 5 s" in relay.log.read_text()


async def test_tokens_are_exchanged_without_a_restart(relay: RelayProcess) -> None:
    """A leaked token would stay valid until somebody restarts the relay, and cuts every stream."""
    await relay.start()
    assert await deliver(relay, TOKEN, "a") == 200
    rewrite(relay, webhooks={"novita": {"tokens": [OTHER]}, "max_body": "2MiB"}, server={"api_tokens": [OTHER]})
    logged = await hang_up(relay)
    assert logged["changed"] == ["server.api_tokens", "webhooks.novita.tokens"]
    assert [await deliver(relay, token, "b") for token in (TOKEN, OTHER)] == [401, 200]
    assert [await events(relay, token) for token in (TOKEN, OTHER)] == [401, 200]
    assert [line["keys"] for line in lines(relay) if "restart" in line["event"]] == [["webhooks.max_body"]]
    assert not any(secret in relay.log.read_text() for secret in (TOKEN, OTHER))


def has_loaded(relay: RelayProcess, module: str) -> bool:
    """Whether the process has loaded a module that is a library."""
    return module in Path(f"/proc/{relay.pid}/maps").read_text()


async def test_a_hang_up_during_the_start_is_answered_after_it(relay: RelayProcess) -> None:
    """A reload during the start would end the relay, or leave it with the old configuration."""
    relay.launch()
    async with asyncio.timeout(10):
        while not has_loaded(relay, "pydantic_core"):  # the first half of its imports
            await asyncio.sleep(0.001)
    relay.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    async with asyncio.timeout(20):
        while not any("reloaded" in line["event"] for line in lines(relay)):
            assert relay.process is not None
            assert relay.process.poll() is None, "it ended"
            await asyncio.sleep(0.02)


async def test_what_goes_to_the_upstream_is_exchanged_too(tmp_path: Path) -> None:
    """Submissions would go on with a key that was revoked, and name a webhook by which no result is taken."""
    seen: list[tuple[str | None, str]] = []
    numbers = itertools.count(1)

    async def upstream(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        url = json.loads(body)["extra"]["webhook"]["url"] if body else ""
        seen.append((request.headers.get("Authorization"), url.rpartition("/")[2]))
        return web.json_response({"task_id": f"t-{next(numbers)}"})

    server = RawTestServer(upstream)
    await server.start_server()
    relay = RelayProcess(
        tmp_path / "relay",
        server={"public_url": "https://relay.example", "api_tokens": [TOKEN]},
        upstream={"base_url": str(server.make_url("")), "api_key": "upstream-key-1"},
        proxy={"clients": {"web": {"key": "client-key-of-enough-length-1"}}},
        reconcile={"first_after": "50ms", "every": "50ms"},
    )
    await relay.start()

    async def submit(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        url = f"{relay.url}/v3/async/txt2img"
        async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json={}) as response:
            return response.status

    try:
        assert await submit("client-key-of-enough-length-1") == 200
        assert seen[0][0] == "Bearer upstream-key-1"
        before = seen[0][1]
        rewrite(
            relay,
            upstream={"api_key": "upstream-key-2"},
            webhooks={"novita": {"tokens": [OTHER, TOKEN]}},
            proxy={"clients": {"web": {"key": "client-key-of-enough-length-2"}}},
        )
        await hang_up(relay)
        seen.clear()
        assert [await submit(f"client-key-of-enough-length-{n}") for n in (1, 2)] == [401, 200]
        [address] = [address for key, address in seen if key == "Bearer upstream-key-2" and address]
        # Both the address of before and the new one are good for their tasks, here and at a replica with the new token.
        assert [address.count("."), before.count(".")] == [2, 2]
        assert [await deliver(relay, secret, "t-1") for secret in (before, address)] == [200, 403]
        async with asyncio.timeout(10):
            while ("Bearer upstream-key-2", "") not in seen:  # a poll
                await asyncio.sleep(0.02)
        assert "Bearer upstream-key-1" not in dict(seen)
    finally:
        relay.kill()
        await server.close()


async def test_a_wrong_configuration_changes_nothing(relay: RelayProcess) -> None:
    """A typing error would lock every sender out, or end the relay."""
    await relay.start()
    rewrite(relay, webhooks={"novita": {"tokens": [OTHER], "tokns": []}})
    logged = await hang_up(relay)
    assert logged["level"] == "error"
    assert "tokns" in logged["problems"]
    assert [await deliver(relay, token, "b") for token in (TOKEN, OTHER)] == [200, 401]


async def test_a_refused_configuration_shows_until_it_is_fixed(relay: RelayProcess) -> None:
    """A rotation that did not happen would be noticed when the old key ends, or at the next restart."""
    await relay.start()
    assert await in_force(relay) == 1
    rewrite(relay, webhooks={"novita": {"tokns": []}})
    await hang_up(relay)
    assert await in_force(relay) == 0
    relay.config.write_text(relay.config.read_text().replace("tokns", "allow_from"))
    await hang_up(relay)
    assert await in_force(relay) == 1


async def in_force(relay: RelayProcess) -> float:
    """The gauge on which an alert waits."""
    async with aiohttp.ClientSession() as session, session.get(f"{relay.admin_url}/metrics") as response:
        text = await response.text()
    return float(re.findall(r"^relay_config_last_reload_successful (\S+)$", text, re.MULTILINE)[0])


async def test_the_level_of_the_log_changes_for_every_part(relay: RelayProcess) -> None:
    """An operator who looks for a cause would have to restart the relay, and lose what they look for."""
    await relay.start()
    rewrite(relay, log={"level": "error"})
    await hang_up_silently(relay)
    before = len(lines(relay))
    assert await deliver(relay, "wrong-token-0123456789012345", "x") == 401
    assert len(lines(relay)) == before
    rewrite(relay, log={"level": "debug"})
    await hang_up(relay)
    assert await deliver(relay, "wrong-token-0123456789012345", "x") == 401
    assert "delivery rejected" in [line["event"] for line in lines(relay)]


async def hang_up_silently(relay: RelayProcess) -> None:
    """SIGHUP to a relay that logs no answer: its level has changed once a refusal is not logged any more."""
    assert relay.process is not None
    relay.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(10):
        while True:
            before = len(lines(relay))
            await deliver(relay, "wrong-token-0123456789012345", "x")
            if len(lines(relay)) == before:
                return
            await asyncio.sleep(0.3)  # beyond the limit of lines per second, which would look the same


async def test_a_secret_that_is_replaced_in_its_file_is_taken_over(tmp_path: Path) -> None:
    """Kubernetes rotates mounted secrets without telling: the old token would stay valid, the new one be refused."""
    secret = tmp_path / "token"
    secret.write_text(TOKEN)

    def reread() -> Settings:
        config = tmp_path / "relay.yaml"
        config.write_text(
            json.dumps(
                {
                    "server": {"port": 0},
                    "admin": {"port": 0},
                    "journal": {"path": str(tmp_path / "relay.db")},
                    "webhooks": {"novita": {"tokens_file": str(secret)}},
                }
            )
        )
        return load(config, {}, {})

    relay = Relay(reread())
    await relay.start()
    reloading = asyncio.create_task(Reloader(relay, reread, check_every=0.05).run())
    try:
        await asyncio.sleep(0)
        replacement = tmp_path / "replacement"
        replacement.write_text(OTHER)
        replacement.replace(secret)
        async with asyncio.timeout(5):
            while relay.settings.webhooks.novita.tokens[0].get_secret_value() != OTHER:
                await asyncio.sleep(0.02)
        async with aiohttp.ClientSession() as session:
            body = {"task": {"task_id": "a", "status": "TASK_STATUS_SUCCEED"}}
            statuses = []
            for token in (TOKEN, OTHER):
                async with session.post(f"{relay.url}/webhooks/novita/{token}", json=body) as response:
                    statuses.append(response.status)
        assert statuses == [401, 200]
    finally:
        reloading.cancel()
        await relay.stop()
