"""docs/consumers.md, read by a machine: each of its commands is run, and prints what the page says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.bridge import Bridge
from tests.integration.conftest import MakeBridge, Pair

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "consumers.md"
SAMPLES = ROOT / "tests" / "samples" / "novita_task"
WITHIN = 30.0

_BLOCK = re.compile(r"^```(sh|text|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_THIS_RUN = re.compile(r"20(?:2[6-9]|[3-9]\d)-\d\d-\d\dT[\d:.]+Z|\b\d{13}-\d+\b")
"""Times and entry ids of the run: the only parts of an output that another run may print differently."""


@dataclass(frozen=True)
class Example:
    """Something to run, and what the page says that it prints."""

    code: str
    output: str


def examples() -> list[Example]:
    """The page's examples: each block of code and the block of output after it."""
    blocks = _BLOCK.findall(PAGE.read_text())
    pairs = list(zip(blocks[::2], blocks[1::2], strict=True))
    assert all(code[0] == "sh" and output[0] in ("text", "json") for code, output in pairs)
    return [Example(code, output) for (_, code), (_, output) in pairs]


def here(code: str, relay: Bridge, pair: Pair) -> str:
    """The code as a reader would run it, with this test's addresses and names."""
    for theirs, ours in (
        ("http://127.0.0.1:8080", relay.url),
        ("redis-cli ", f"redis-cli -p {pair.redis.port} "),
        ("localhost:9092", pair.kafka.bootstrap),
        ("{relay}:", pair.key),
        ("relay.tasks", f"{pair.topic}tasks"),
        ("relay.dead-letters", f"{pair.topic}dead-letters"),
    ):
        code = code.replace(theirs, ours)
    return code


async def printed(example: Example, code: str, directory: Path) -> str:
    """What it prints: all of it, or as much as the page shows of a program that goes on."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", code, cwd=directory, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    lines: list[str] = []
    goes_on = "curl -sN" in code
    try:
        async with asyncio.timeout(WITHIN):
            while not (goes_on and len(lines) == example.output.count("\n")):
                line = (await process.stdout.readline()).decode()
                if not line:
                    break
                lines.append(line)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return "".join(lines)


@pytest.fixture
async def relay(pair: Pair, bridge: MakeBridge) -> Bridge:
    """After the page's four deliveries."""
    made = bridge(*pair.sinks())
    await made.start()
    first = (SAMPLES / "image-succeeded.json").read_bytes()
    bodies = (
        first,
        first.replace(b"X-Amz-Signature=00", b"X-Amz-Signature=11"),
        first.replace(b"TASK_STATUS_SUCCEED", b"TASK_STATUS_FAILED"),
        (SAMPLES / "event-type-unknown.json").read_bytes(),
    )
    answers = [(await made.deliver(body)).body["status"] for body in bodies]
    assert answers == ["accepted", "duplicate", "accepted", "dead"]
    await made.until_published()
    return made


async def test_every_example_prints_what_the_page_says(relay: Bridge, pair: Pair, tmp_path: Path) -> None:
    """Readers would copy commands that fail, or rely on attributes and fields that are not there."""
    for example in examples():
        output = await printed(example, here(example.code, relay, pair), tmp_path)
        assert _THIS_RUN.sub("...", output) == _THIS_RUN.sub("...", example.output), example.code


async def test_tokens_guard_the_stream(pair: Pair, bridge: MakeBridge) -> None:
    """Anyone who can reach the relay could read its events, although tokens are configured."""
    token = "a-token-of-the-consumers-0123456789"
    relay = bridge(server={"api_tokens": [token]})
    await relay.start()
    assert (await relay.request("GET", "/v1/events")).status == 401
    shown = await relay.request("GET", "/v1/events", headers={"Authorization": f"Bearer {token}"})
    assert (shown.status, shown.body) == (200, {"events": [], "next": 0, "pruned": None})
