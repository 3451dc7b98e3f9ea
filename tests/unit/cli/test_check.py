"""``relay check`` for programs."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from relay.cli.commands import app


def test_every_problem_is_listed_for_programs(tmp_path: Path) -> None:
    """An editor or a CI job could not point at the lines that are wrong."""
    path = tmp_path / "relay.yaml"
    path.write_text("server:\n  prot: 1\nadmn: {}\n")
    result = CliRunner().invoke(app, ["check", "--config", str(path), "--json"])
    assert result.exit_code == 78
    document = json.loads(result.stdout)
    assert [(each["line"], each["key"]) for each in document["problems"]] == [(2, "server.prot"), (3, "admn")]
    assert not document["ok"]
