"""The schemas that are committed, and the version."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from typer.testing import CliRunner

import relay
from relay.cli.commands import app
from relay.contract import openapi, rendered

COMMITTED = Path(relay.__file__).parent / "schemas"


def test_the_schemas_written_to_a_folder_are_those_shown(tmp_path: Path) -> None:
    """What somebody publishes for consumers would differ from what the relay means."""
    runner = CliRunner()
    assert runner.invoke(app, ["schema", "--output", str(tmp_path / "new")]).exit_code == 0
    shown = runner.invoke(app, ["schema", "task"]).stdout
    assert json.loads(shown) == json.loads((tmp_path / "new/task.json").read_text())
    assert {path.stem for path in COMMITTED.iterdir()} == set(
        json.loads(runner.invoke(app, ["schema", "--json"]).stdout)
    )


def test_an_unknown_schema_is_refused_with_the_known_names() -> None:
    """A misspelt name would look like an empty schema."""
    result = CliRunner().invoke(app, ["schema", "tasks"])
    assert result.exit_code == 1
    assert "task, chat-started" in result.stderr


def test_openapi_is_the_document_of_the_route_in_both_notations() -> None:
    """A client generated from the command's output would not match the API that the relay serves."""
    runner = CliRunner()
    document = runner.invoke(app, ["openapi", "--json"]).stdout
    assert document.encode() == rendered(openapi(relay.__version__))
    assert runner.invoke(app, ["openapi"]).stdout == document
    assert yaml.load(runner.invoke(app, ["openapi", "--yaml"]).stdout, yaml.CSafeLoader) == json.loads(document)


def test_the_version_is_the_packages() -> None:
    """A bug report would name another version than the one that runs."""
    runner = CliRunner()
    assert json.loads(runner.invoke(app, ["version", "--json"]).stdout)["relay"] == relay.__version__
    assert relay.__version__ in runner.invoke(app, ["--version"]).stdout
