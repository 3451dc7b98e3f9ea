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
PUBLISHED = 14  # types of events
RECEIVED = 3


def shown(*options: str) -> str:
    """What ``relay asyncapi`` prints."""
    result = CliRunner().invoke(app, ["asyncapi", *options])
    assert result.exit_code == 0, result.stderr
    return result.stdout


FAULTS = [
    ('"action": "send"', '"action": "publish"'),
    ("#/components/schemas/Output", "#/components/schemas/Outputs"),
    ("#/components/messages/kafka.relay.chat.chunk", "#/components/messages/kafka.relay.chat.chunks"),
]
"""What stands in the document, and what would be a fault there."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the parser says of each document, by its text: one process for all, since it takes 2 s to start."""
    folder = tmp_path_factory.mktemp("asyncapi")
    shutil.copy(HERE / "diagnose.mjs", folder)
    (folder / "node_modules").symlink_to(node_modules(HERE, "asyncapi"))
    whole = shown()
    documents = [whole, shown("--yaml"), *(whole.replace(there, broken) for there, broken in FAULTS)]
    done = subprocess.run(
        [executable("node"), str(folder / "diagnose.mjs")],
        input=json.dumps(documents),
        env={"PATH": os.environ["PATH"], "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(zip(documents, json.loads(done.stdout), strict=True))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("options", [[], ["--yaml"]], ids=["json", "yaml"])
def test_the_official_parser_finds_no_fault(options: list[str], reports: dict[str, dict[str, Any]]) -> None:
    """Generators and viewers of AsyncAPI would refuse the contract."""
    report = reports[shown(*options)]
    assert [diagnostic for diagnostic in report["diagnostics"] if diagnostic["severity"] == 0] == []
    assert (report["read"], report["channels"], report["messages"]) == (True, 2 + 2 * 5, RECEIVED + 2 * PUBLISHED)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("whole", "broken"), FAULTS)
def test_the_official_parser_finds_a_fault_that_is_there(
    whole: str, broken: str, reports: dict[str, dict[str, Any]]
) -> None:
    """The test above would pass whatever the document says."""
    document = shown()
    assert whole in document
    report = reports[document.replace(whole, broken)]
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
