"""A running relay against its own OpenAPI document, by schemathesis: generated requests, valid and not.

Some thousand, the same each time. ``RELAY_FUZZ_EXAMPLES=1000`` sends up to that many to each operation, drawn again:
``RELAY_TEST_SEED`` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.harness.matrix import SEED
from tests.services.ports import free_port
from tests.services.relay import TOKEN, RelayProcess

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).parent / "fuzzing" / "schemathesis.toml"
API_TOKEN = "api-token-of-enough-length-0123456789"
MANY = int(os.environ.get("RELAY_FUZZ_EXAMPLES", "0"))
WITHIN = 100.0 + 10.0 * MANY
"""Seconds for one run of schemathesis; far more than it needs."""

pytestmark = pytest.mark.timeout(WITHIN + 20)

ADMIN = "^/(livez|readyz|metrics)$"
PROXIED = "^/(openai|v3|v3beta)/"
WITHOUT_TOKEN = "^/webhooks/novita$"
UNLINKED = "examples,coverage,fuzzing"
"""Of schemathesis' phases; the other follows links, which only ``/v1`` has."""
BROKEN = ("Response violates schema", "Undocumented status code", "Server error", "Schema-violating request accepted")
OWN = r"^/(webhooks/novita/\{token\}|v1/.*|schemas/.*|[a-z]+\.json|console/.*)?$"


@pytest.fixture
async def upstream() -> AsyncIterator[str]:
    """The simulator, in a process of its own."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "simulate", "--port", str(port)), stdout=subprocess.DEVNULL
    )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    await process.wait()


async def started(directory: Path, upstream: str, *program: str, tokens: bool = True) -> RelayProcess:
    """A relay whose upstream is the simulator; without ``tokens`` it trusts its own machine."""
    relay = RelayProcess(
        directory,
        server={"api_tokens": [API_TOKEN] if tokens else []},
        webhooks={"novita": {"tokens": [TOKEN] if tokens else []}},
        upstream={"base_url": upstream},
    )
    await relay.start(*program)
    return relay


async def fuzzed(relay: RelayProcess, paths: str, *options: str, examples: int = 30) -> tuple[int, str]:
    """The exit code and the report of schemathesis for the operations whose paths match."""
    chosen = ["--seed", str(SEED)] if MANY else ["--generation-deterministic"]
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{relay.url}/openapi.json"),
        *("--include-path-regex", paths, "--header", f"Authorization: Bearer {API_TOKEN}", "--no-color"),
        *("--max-examples", str(MANY or examples), *chosen, *options),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=relay.directory,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RELAY_WEBHOOK_TOKEN": TOKEN,
            "SCHEMATHESIS_HOOKS": "tests.contract.fuzzing.checks",
        },
    )
    try:
        async with asyncio.timeout(WITHIN):
            report, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert process.returncode is not None
    return process.returncode, report.decode()


@pytest.mark.parametrize(
    ("paths", "tokens"),
    [(OWN, True), (WITHOUT_TOKEN, False), (PROXIED, True)],
    ids=["own", "without-token", "proxied"],
)
async def test_the_main_listener_answers_as_described(tmp_path: Path, upstream: str, paths: str, tokens: bool) -> None:
    """A client would get an undocumented answer, or have nonsense accepted as a request."""
    relay = await started(tmp_path, upstream, tokens=tokens)
    how = () if paths == OWN else ("--phases", UNLINKED)
    code, report = await fuzzed(relay, paths, *how, examples=10 if paths == PROXIED else 30)
    assert await relay.stop() == 0
    assert code == 0, report


async def test_the_admin_listener_answers_as_described(tmp_path: Path, upstream: str) -> None:
    """A probe would be read wrongly by what restarts and routes."""
    relay = await started(tmp_path, upstream)
    code, report = await fuzzed(relay, ADMIN, "--url", relay.admin_url, "--phases", UNLINKED)
    assert await relay.stop() == 0
    assert code == 0, report


async def test_broken_answers_are_found(tmp_path: Path, upstream: str) -> None:
    """The tests above would pass whatever the relay answers."""
    relay = await started(tmp_path, upstream, "tests.contract.fuzzing.plant")
    code, report = await fuzzed(relay, "^/v1/", "--no-shrink", "--phases", UNLINKED, examples=10)
    await relay.stop()
    assert code == 1, report
    for found in BROKEN:
        assert found in report, report
