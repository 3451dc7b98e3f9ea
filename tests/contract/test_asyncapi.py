"""The AsyncAPI document, as the command and the route give it out, read by the official parser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from relay.cli.commands import app
from tests.e2e.sdks.install import node_modules
from tests.integration.bridge import Bridge
from tests.services.programs import executable

HERE = Path(__file__).parent / "asyncapi"
PUBLISHED = 12  # types of events
RECEIVED = 3


def shown(*options: str) -> str:
    """What ``relay asyncapi`` prints."""
    result = CliRunner().invoke(app, ["asyncapi", *options])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def diagnosed(document: str, folder: Path) -> dict[str, Any]:
    """What the parser says, in a ``folder`` of the test's own."""
    shutil.copy(HERE / "diagnose.mjs", folder)
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(node_modules(HERE, "asyncapi"))
    done = subprocess.run(
        [executable("node"), str(folder / "diagnose.mjs")],
        input=document,
        env={"PATH": os.environ["PATH"], "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.timeout(400)
@pytest.mark.parametrize("options", [[], ["--yaml"]], ids=["json", "yaml"])
def test_the_official_parser_finds_no_fault(options: list[str], tmp_path: Path) -> None:
    """Generators and viewers of AsyncAPI would refuse the contract."""
    report = diagnosed(shown(*options), tmp_path)
    assert [diagnostic for diagnostic in report["diagnostics"] if diagnostic["severity"] == 0] == []
    assert (report["read"], report["channels"], report["messages"]) == (True, 2 + 2 * 4, RECEIVED + 2 * PUBLISHED)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("whole", "broken"),
    [
        ('"action": "send"', '"action": "publish"'),
        ("#/components/schemas/Output", "#/components/schemas/Outputs"),
        ("#/components/messages/kafka.relay.chat.chunk", "#/components/messages/kafka.relay.chat.chunks"),
    ],
)
def test_the_official_parser_finds_a_fault_that_is_there(whole: str, broken: str, tmp_path: Path) -> None:
    """The test above would pass whatever the document says."""
    document = shown()
    assert whole in document
    report = diagnosed(document.replace(whole, broken), tmp_path)
    assert any(diagnostic["severity"] == 0 for diagnostic in report["diagnostics"])


async def test_a_running_relay_serves_what_the_command_shows(tmp_path: Path) -> None:
    """A consumer would read another contract from the relay than from the command."""
    relay = Bridge(tmp_path)
    await relay.start()
    try:
        answer = await relay.request("GET", "/asyncapi.json", headers={"Origin": "https://studio.example"})
    finally:
        await relay.stop()
    assert (answer.status, answer.body) == (200, json.loads(shown()))
