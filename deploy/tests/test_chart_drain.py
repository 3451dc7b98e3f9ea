"""What the chart runs before a pod ends: its preStop hook, on a relay that really runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.tests.manifests import notes, pre_stop
from tests.services.in_process import PATH, task
from tests.services.raw_http import ask, post
from tests.services.redis import Redis, redis_cli
from tests.services.relay import RelayProcess

SHORT = ("drain.preStopSeconds=1",)
API_TOKEN = "api-token-of-enough-length-0123456789"


def hook(relay: RelayProcess, *settings: str) -> list[str]:
    """The command of preStop, for the configuration of this relay."""
    return [part.replace("/etc/relay/relay.yaml", str(relay.config)) for part in pre_stop(*settings)]


def run(command: list[str], programs: Path) -> subprocess.CompletedProcess[str]:
    """Runs it as kubelet does, with a ``sleep`` that notes for how long it sleeps."""
    programs.mkdir()
    sleep = programs / "sleep"
    sleep.write_text(f'#!/bin/sh\necho "$1" >> {programs}/slept\nexec /bin/sleep "$1"\n')
    sleep.chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


def sink(url: str, prefix: str) -> dict[str, str]:
    return {"type": "redis", "name": "r", "url": url, "prefix": prefix}


async def test_a_pod_that_ends_has_published_what_it_accepted(redis_server: Redis, tmp_path: Path) -> None:
    """Events of a replica that is scaled down would wait on a volume that no pod mounts."""
    prefix = redis_server.prefix()
    relay = RelayProcess(tmp_path / "r", sinks=[sink(redis_server.url, prefix)], server={"api_tokens": [API_TOKEN]})
    await relay.start()
    try:
        for n in range(20):
            assert (await ask(relay.url, post(PATH, task(f"t{n}")))).status == 200
        ended = await asyncio.to_thread(run, hook(relay, *SHORT, "drain.publishSeconds=60"), tmp_path / "bin")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert await relay.ready() == (503, ["drained"])
        assert (await ask(relay.url, post(PATH, task("late")))).code == "draining"
    finally:
        relay.kill()  # nothing is left to SIGTERM
    assert int(redis_cli(redis_server.port, "XLEN", f"{prefix}tasks")) == 20
    assert (tmp_path / "bin" / "slept").read_text() == "1\n"


@pytest.mark.parametrize("token", [API_TOKEN, "another-token-of-enough-length-0123"])
async def test_a_drain_that_does_not_end_or_is_refused_leaves_the_pod_its_time(tmp_path: Path, token: str) -> None:
    """A sink that is down would keep the pod until it is killed, or a wrong token cut off what is on its way."""
    relay = RelayProcess(
        tmp_path / "r", sinks=[sink("redis://127.0.0.1:1/0", "{x}:")], server={"api_tokens": [API_TOKEN]}
    )
    await relay.start()
    try:
        relay.configure(server={"api_tokens": [token]})  # it does not read this without a signal
        assert (await ask(relay.url, post(PATH, task("left")))).status == 200
        ended = await asyncio.to_thread(run, hook(relay, *SHORT, "drain.publishSeconds=1"), tmp_path / "bin")
        assert ended.returncode == 0
        assert (tmp_path / "bin" / "slept").read_text() == "1\n"
        assert (await ask(relay.url, post(PATH, task("late")))).status == 200
        assert await relay.stop(within=20.0) == 0
    finally:
        relay.kill()


def test_the_notes_say_that_replicas_without_an_api_token_cannot_drain(tmp_path: Path) -> None:
    """The hook would fail at each roll-out, and nobody would know."""
    said = "NO API TOKEN"
    assert said in notes(tmp_path)
    for named in (
        {"config": {"server": {"api_tokens_file": "/etc/relay/secrets/api-tokens"}}},
        {"extraEnv": [{"name": "RELAY_SERVER__API_TOKENS_FILE", "value": "/etc/relay/secrets/api-tokens"}]},
        {"extraEnvFrom": [{"secretRef": {"name": "relay-environment"}}]},
    ):
        assert said not in notes(tmp_path, **named)
