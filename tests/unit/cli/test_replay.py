"""What ``relay replay`` refuses before it has reached anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.cli.commands import app

GOOD = ["--from", "1", "--to", "9", "--sink", "kafka", "--topic", "again"]


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "relay.yaml"
    path.write_text("sinks: [{type: kafka}, {type: redis, name: events}]")
    return str(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"--topic": None}, "--same-topic"),
        ({"--topic": "tasks"}, "--same-topic"),
        ({"--topic": "relay.again"}, "write again"),
        ({"--sink": "event"}, "'events'"),
        ({"--from": "yesterday"}, "an offset like 17, or a time like"),
        ({"--to": "9.5"}, "an offset like 17, or a time like"),
        ({"--only-topic": "task"}, "did you mean 'tasks'?"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(
    changed: dict[str, str | None], message: str, config: str
) -> None:
    """A slip would end in a replay to the wrong place, or in a message that does not help."""
    given = dict(zip(GOOD[::2], GOOD[1::2], strict=True)) | changed
    arguments = [word for name, value in given.items() if value is not None for word in (name, value)]
    result = CliRunner().invoke(app, ["replay", "--config", config, *arguments], env={"COLUMNS": "300"})
    assert result.exit_code == 2, result.output
    assert message in result.output
