"""The dashboard: as Grafana has it, and every panel shows something of a real relay under load."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy import dashboards
from deploy.render import ROOT
from tests.e2e.sdks.install import node_modules
from tests.services.ports import free_port
from tests.services.redis import RedisServer
from tests.services.relay import RelayProcess

CHECK = ROOT / "tests" / "grafana"


def tsc(folder: Path, dashboard: str) -> subprocess.CompletedProcess[str]:
    """Grafana's own types against a dashboard."""
    source = (CHECK / "check.ts").read_text("utf-8")
    (folder / "dashboard.ts").write_text(source.replace("DASHBOARD;", dashboard + ";"))
    options = "--noEmit --strict --skipLibCheck --moduleResolution node --target es2020 dashboard.ts".split()
    command = [str(folder / "node_modules" / ".bin" / "tsc"), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def installed(folder: Path) -> Path:
    """A folder with Grafana's types and TypeScript, as locked."""
    (folder / "node_modules").symlink_to(node_modules(CHECK, "grafana"))
    return folder


def test_the_committed_dashboard_is_the_one_that_is_written() -> None:
    """A change would be lost at the next change."""
    hint = "run python -m deploy.dashboards"
    assert json.loads(dashboards.FILE.read_text("utf-8")) == dashboards.dashboard(), hint


def test_grafana_knows_every_field(tmp_path: Path) -> None:
    """Grafana passes over what it does not know: a panel would be blank, or look otherwise than meant."""
    folder = installed(tmp_path)
    result = tsc(folder, json.dumps(dashboards.dashboard()))
    assert result.returncode == 0, result.stdout[-3000:]
    wrong = {**dashboards.dashboard(), "graphTooltipp": 1}
    assert "graphTooltipp" in tsc(folder, json.dumps(wrong)).stdout


# -- every query against a real Prometheus that scrapes a real relay ---------------------------------------------------


def queries() -> list[tuple[str, str]]:
    """Every query of the dashboard with its panel's title, Grafana's variables filled in."""
    made = dashboards.dashboard()
    shown = [(panel["title"], target["expr"]) for panel in made["panels"] for target in panel.get("targets", [])]
    shown += [(marks["name"], marks["expr"]) for marks in made["annotations"]["list"]]
    chosen = {"$namespace": ".*", "$job": "relay", "$instance": ".*", "$__rate_interval": "20s", "$__range": "20s"}
    return [(title, re.sub(r"\$\w+", lambda name: chosen[name[0]], query)) for title, query in shown]


@contextlib.asynccontextmanager
async def running(*command: str, answers: str) -> AsyncIterator[None]:
    """A process that is up once its URL answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while True:
                assert process.poll() is None, command
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(answers) as response:
                        if response.status < 500:
                            break
                await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 15)


KEYS = {"web": "web-key-0123456789abcdef0123", "frugal": "frugal-key-0123456789abcdef"}
CLIENTS = {"web": {"key": KEYS["web"]}, "frugal": {"key": KEYS["frugal"], "requests_per_minute": 1}}


async def busy(relay: RelayProcess, session: aiohttp.ClientSession) -> None:
    """Lost webhooks, waiting outputs, a client over its limit, all ends of chats, a dead letter: again and again."""
    while True:
        task = {"request": {"prompt": "kite"}}
        broken = {"Authorization": f"Bearer {KEYS['web']}", "X-Simulate": "output-broken=100"}
        async with session.post(f"{relay.url}/v3/async/txt2img", json=task, headers=broken) as response:
            await response.read()
        for key in KEYS.values():
            shown = {"Authorization": f"Bearer {key}"}
            async with session.post(f"{relay.url}/v3/async/txt2img", json=task, headers=shown) as response:
                await response.read()
        words = "none" if os.urandom(1)[0] % 3 else "truncated"
        chat = {
            "model": "deepseek/deepseek-v3.1",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 99,
        }
        for path, fault in (("/openai/v1/chat/completions", words), ("/anthropic/v1/messages", "done=event")):
            headers = {"X-Simulate": fault, "Authorization": f"Bearer {KEYS['web']}"}
            async with session.post(relay.url + path, json=chat, headers=headers) as response:
                with contextlib.suppress(aiohttp.ClientError):
                    await response.read()
        unknown = {"task": {"task_id": os.urandom(8).hex(), "status": "TASK_STATUS_NOBODY_KNOWS"}}
        async with session.post(relay.webhook_url, json=unknown) as response:
            assert response.status == 200
        await asyncio.sleep(0.05)


async def has_data(session: aiohttp.ClientSession, prometheus: str, query: str) -> bool:
    async with session.get(f"{prometheus}/api/v1/query", params={"query": query}) as response:
        answer: Any = await response.json()
    assert answer["status"] == "success", (query, answer)
    return any(not math.isnan(float(series["value"][1])) for series in answer["data"]["result"])


async def published(relay: RelayProcess) -> None:
    """Returns when something of every topic has been published."""
    async with asyncio.timeout(30):
        for topic in ("tasks", "chat", "chat-chunks", "dead-letters"):
            while not await relay.metric("relay_published_total", topic=topic):
                await asyncio.sleep(0.1)


async def still_blank(session: aiohttp.ClientSession, base: str, load: asyncio.Task[None]) -> list[tuple[str, str]]:
    """The queries that have shown nothing within 90 s."""
    blank = queries()
    try:
        async with asyncio.timeout(90):
            while blank := [each for each in blank if not await has_data(session, base, each[1])]:
                assert not load.done(), load.exception()
                await asyncio.sleep(0.5)
    except TimeoutError:
        pass
    return blank


@pytest.mark.timeout(240)
async def test_every_panel_shows_something_of_a_relay_under_load(tmp_path: Path) -> None:
    """A panel would be blank forever: a metric that was renamed, a label that is not there, a query that is wrong."""
    simulator, prometheus = free_port(), free_port()
    redis = RedisServer(tmp_path / "redis")
    await redis.start()
    relay = RelayProcess(
        tmp_path / "relay",
        sinks=[{"type": "redis", "url": redis.redis.url}],
        upstream={"base_url": f"http://127.0.0.1:{simulator}"},
        proxy={"clients": CLIENTS},
        archive={"url": (tmp_path / "outputs").as_uri(), "allow_hosts": [f"http://127.0.0.1:{simulator}"]},
        reconcile={"first_after": "500ms", "every": "500ms", "max_rate": 50},
    )
    config = json.loads(relay.config.read_text())
    config["server"]["public_url"] = relay.url
    relay.config.write_text(json.dumps(config))
    scraping = tmp_path / "prometheus.yaml"
    targets = [{"targets": [f"127.0.0.1:{relay.admin_port}"]}]
    scrape = {"job_name": "relay", "scrape_interval": "1s", "static_configs": targets}
    scraping.write_text(json.dumps({"scrape_configs": [scrape]}))
    simulate = f"-m relay simulate --port {simulator} --queue 10ms --run 50ms --fault lost=0.5".split()
    store = (f"--config.file={scraping}", f"--storage.tsdb.path={tmp_path / 'tsdb'}", "--log.level=error")
    server = ("prometheus", *store, f"--web.listen-address=127.0.0.1:{prometheus}")
    base = f"http://127.0.0.1:{prometheus}"
    try:
        async with (
            running(sys.executable, *simulate, answers=f"http://127.0.0.1:{simulator}/openai/v1/models"),
            running(*server, answers=f"{base}/-/ready"),
            aiohttp.ClientSession() as session,
        ):
            await relay.start()
            load = asyncio.create_task(busy(relay, session))
            await published(relay)
            redis.kill()  # so that publishing fails
            async with asyncio.timeout(30):
                while not await relay.metric("relay_publish_failures_total"):
                    await asyncio.sleep(0.1)
            await redis.start()
            blank = await still_blank(session, base, load)
            load.cancel()
        assert not blank
    finally:
        relay.kill()
        redis.kill()
