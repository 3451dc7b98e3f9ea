"""``relay doctor`` beside what is really broken: each condition is made, and reported with its fix."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.integration.test_cli import run
from tests.services.kafka import Kafka
from tests.services.ports import free_port
from tests.services.redis import Redis, RedisProcess, redis_cli
from tests.services.relay import RelayProcess

NOWHERE = {"upstream": {"base_url": "http://127.0.0.1:9"}}
UPSTREAM_KEY = "the-key-of-the-upstream"


async def examined(config: Path, code: int, **env: str) -> dict[str, dict[str, Any]]:
    """What was found, by check; of several findings the worst."""
    done = await asyncio.to_thread(run, "doctor", "--json", "--config", config, **env)
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is (code == 0)
    order = ("ok", "warning", "failed")
    found = sorted(document["findings"], key=lambda each: order.index(each["status"]))
    assert all(each["hint"] for each in found if each["status"] == "failed" and each["check"] != "configuration")
    return {each["check"]: each for each in found}


@asynccontextmanager
async def listening(answer: web.Response) -> AsyncIterator[str]:
    """A server that gives one answer to everything."""

    async def respond(_: web.BaseRequest) -> web.Response:
        return web.Response(status=answer.status, text=answer.text, headers=answer.headers)

    runner = web.ServerRunner(web.Server(respond))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_a_relay_in_good_health_passes(tmp_path: Path, redis_server: Redis, kafka: Kafka) -> None:
    """Nobody would trust a doctor who finds something in everybody, or who disturbs the relay that runs."""
    async with Simulator(Options(api_keys=(UPSTREAM_KEY,))) as upstream:
        sinks = [
            {"type": "redis", "url": redis_server.url, "prefix": redis_server.prefix()},
            {"type": "kafka", "bootstrap_servers": kafka.bootstrap, "prefix": kafka.topic_prefix()},
        ]
        relay = RelayProcess(
            tmp_path,
            sinks=sinks,
            public=True,
            upstream={"base_url": upstream.url, "api_key": UPSTREAM_KEY},
            proxy={"clients": {"app": {"key": "a-key-of-enough-length-0123456789"}}},
        )
        await relay.start()
        try:
            found = await examined(relay.config, 0)
            assert found["relay"]["message"] == "runs, and is ready"
            assert "is in use by the running relay" in found["journal"]["message"]
            assert found["webhooks"]["message"].endswith("leads to this relay's webhooks")
            assert found["upstream"]["message"].endswith("answers and takes the key")
            assert found["clock"]["message"] == f"agrees with that of {upstream.url}"
            # The tests' Kafka has one broker.
            assert (found["sink kafka"]["status"], found["sink kafka"]["code"]) == ("warning", "not_replicated")
            assert found["disk"]["measured"]["fsync_p99_seconds"] > 0
            assert found["sink redis"]["status"] == "ok"
            assert await relay.metric("relay_journal_events") == 0, "nothing was delivered"
            assert await relay.metric("relay_sink_up") == 2
        finally:
            relay.kill()


async def test_a_redis_that_forgets_is_reported_and_one_that_is_not_there(
    tmp_path: Path, redis_process: RedisProcess
) -> None:
    """Events would be lost at a restart of Redis, or never get there, under a clean bill of health."""
    server = redis_process()
    await server.start()
    await asyncio.to_thread(redis_cli, server.url, "CONFIG", "SET", "appendonly", "no")
    sinks = [
        {"type": "redis", "name": "forgetful", "url": server.url},
        {"type": "redis", "name": "absent", "url": f"redis://127.0.0.1:{free_port()}/0"},
    ]
    relay = RelayProcess(tmp_path, sinks=sinks, **NOWHERE)
    found = await examined(relay.config, 1)
    assert (found["sink forgetful"]["status"], found["sink forgetful"]["code"]) == ("warning", "not_persistent")
    assert (found["sink absent"]["status"], found["sink absent"]["code"]) == ("failed", "unreachable")
    assert (found["upstream"]["status"], found["upstream"]["code"]) == ("failed", "unreachable")
    assert "relay does not run here" in found["relay"]["message"]


async def test_a_relay_that_is_not_ready_is_reported_with_its_reason(tmp_path: Path) -> None:
    """A relay that refuses every webhook would be called healthy, since it answers."""
    sinks = [{"type": "redis", "url": f"redis://127.0.0.1:{free_port()}/0"}]
    relay = RelayProcess(tmp_path, sinks=sinks, journal={"max_backlog": 1}, **NOWHERE)
    await relay.start()
    try:
        body = {"task": {"task_id": "t-1", "status": "TASK_STATUS_SUCCEED"}}
        async with aiohttp.ClientSession() as session, session.post(relay.webhook_url, json=body) as response:
            assert response.status == 200
        found = await examined(relay.config, 1)
        assert (found["relay"]["status"], found["relay"]["code"]) == ("failed", "not_ready")
        assert "backlog" in found["relay"]["message"]
    finally:
        relay.kill()


async def test_a_journal_held_by_another_process_is_reported(tmp_path: Path) -> None:
    """A second relay on one volume would fail to start for a reason that nobody sees."""
    relay = RelayProcess(tmp_path, **NOWHERE)
    await relay.start()
    try:
        elsewhere = {"RELAY_ADMIN__PORT": str(free_port()), "RELAY_SERVER__PORT": str(free_port())}
        found = await examined(relay.config, 1, **elsewhere)
        assert found["journal"]["code"] == "journal_in_use"
        elsewhere["RELAY_ADMIN__PORT"] = str(relay.port)
        found = await examined(relay.config, 1, **elsewhere)
        assert found["relay"]["code"] == "not_a_relay"
    finally:
        relay.kill()


async def test_a_public_address_is_followed_to_where_it_leads(tmp_path: Path) -> None:
    """Webhooks would go nowhere, to another program or to another relay, and every task would be polled for."""
    relay = RelayProcess(tmp_path / "this", **NOWHERE)
    other = RelayProcess(tmp_path / "other", webhooks={"novita": {"tokens": ["another-token-of-enough-length-01"]}})
    await asyncio.gather(relay.start(), other.start())
    try:
        for url, code in ((f"http://127.0.0.1:{free_port()}", "public_unreachable"), (other.url, "token_refused")):
            found = await examined(relay.config, 1, RELAY_SERVER__PUBLIC_URL=url)
            assert (found["webhooks"]["status"], found["webhooks"]["code"]) == ("failed", code)
        pages = (
            (web.Response(text="<html>Welcome"), "not_a_relay"),
            (web.Response(status=308, headers={"Location": relay.url}), "redirected"),
        )
        for page, code in pages:
            async with listening(page) as url:
                found = await examined(relay.config, 1, RELAY_SERVER__PUBLIC_URL=url)
            assert found["webhooks"]["code"] == code
        found = await examined(relay.config, 1, RELAY_SERVER__PUBLIC_URL=relay.url)
        assert found["webhooks"]["status"] == "ok"
    finally:
        relay.kill()
        other.kill()


async def test_a_token_is_shown_to_nobody_but_a_relay(tmp_path: Path) -> None:
    """A wrong address would receive the token that protects the webhooks."""
    seen: list[str] = []

    async def respond(request: web.BaseRequest) -> web.Response:
        seen.append(request.path)
        return web.Response(text="hello")

    runner = web.ServerRunner(web.Server(respond))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    relay = RelayProcess(tmp_path, **NOWHERE)
    try:
        await examined(relay.config, 1, RELAY_SERVER__PUBLIC_URL=f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()
    assert seen == ["/webhooks/novita"]


async def test_a_wrong_clock_and_a_refused_key_are_reported(tmp_path: Path) -> None:
    """Signatures would be refused, or lost webhooks never be polled for, long after the relay was set up."""
    relay = RelayProcess(tmp_path)
    past = web.Response(status=404, text='{"code":404,"reason":"TASK_NOT_FOUND"}')
    past.headers["Date"] = "Tue, 14 Nov 2023 22:13:20 GMT"
    async with listening(past) as url:
        found = await examined(relay.config, 1, RELAY_UPSTREAM__BASE_URL=url)
    assert (found["clock"]["status"], found["clock"]["code"]) == ("failed", "clock_skew")
    assert found["upstream"]["status"] == "ok"
    async with Simulator(Options(api_keys=(UPSTREAM_KEY,))) as upstream:
        found = await examined(relay.config, 0, RELAY_UPSTREAM__BASE_URL=upstream.url)
        assert (found["upstream"]["status"], found["upstream"]["code"]) == ("warning", "no_key")
        guarded = RelayProcess(
            tmp_path / "guarded",
            upstream={"base_url": upstream.url, "api_key": "wrong"},
            proxy={"clients": {"app": {"key": "a-key-of-enough-length-0123456789"}}},
        )
        found = await examined(guarded.config, 1)
        assert (found["upstream"]["status"], found["upstream"]["code"]) == ("failed", "key_refused")


async def test_a_bad_configuration_is_reported_as_by_relay_check(tmp_path: Path) -> None:
    """A service manager could not distinguish a configuration that must be fixed from a broker that is away."""
    config = tmp_path / "relay.yaml"
    config.write_text("server: {prot: 1}\n")
    found = await examined(config, 78)
    assert "did you mean 'port'" in found["configuration"]["message"]
    result = await asyncio.to_thread(run, "doctor", "--config", config)
    assert result.returncode == 78
    assert result.stdout.startswith("failed   configuration: ")
