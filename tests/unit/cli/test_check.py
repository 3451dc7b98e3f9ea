"""``relay check`` for programs, and reaching what a configuration names."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.cli.check import reach_archive, reach_sink, reach_upstream
from relay.cli.commands import app
from relay.core.sink import Identity
from relay.settings.model import UpstreamSettings
from relay.simulator.server import Simulator
from relay.sinks.redis import Config


def test_every_problem_is_listed_for_programs(tmp_path: Path) -> None:
    """An editor or a CI job could not point at the lines that are wrong."""
    path = tmp_path / "relay.yaml"
    path.write_text("server:\n  prot: 1\nadmn: {}\n")
    result = CliRunner().invoke(app, ["check", "--config", str(path), "--json"])
    assert result.exit_code == 78
    document = json.loads(result.stdout)
    assert [(each["line"], each["key"]) for each in document["problems"]] == [(2, "server.prot"), (3, "admn")]
    assert not document["ok"]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken and does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_a_missing_sink_is_reported(closed_port: int) -> None:
    """A deployment would go on although its broker cannot be reached."""
    config = Config.model_validate({"type": "redis", "url": f"redis://127.0.0.1:{closed_port}/0"})
    reached = await reach_sink(config, Identity("x-check", "1"))
    assert not reached.ok
    assert reached.name == "sink redis"
    assert str(closed_port) in (reached.message or "")


async def test_any_answer_of_the_upstream_will_do() -> None:
    """The check would need an API key to succeed."""
    async with Simulator() as simulator:
        reached = await reach_upstream(UpstreamSettings(base_url=simulator.url))
    assert reached.ok
    assert "HTTP 404" in (reached.message or "")


async def test_a_missing_upstream_is_reported(closed_port: int) -> None:
    """A typing mistake in upstream.base_url would show only when the first task is lost."""
    reached = await reach_upstream(UpstreamSettings(base_url=f"http://127.0.0.1:{closed_port}"))
    assert reached.code == "upstream_unreachable"


async def test_an_archive_is_tried_before_the_first_output_needs_it(tmp_path: Path) -> None:
    """A folder that cannot be written to, or a missing library's option, would show when an output is lost."""
    reached = await reach_archive((tmp_path / "outputs").as_uri(), {})
    assert (reached.name, reached.ok) == ("archive", True)
    (tmp_path / "file").write_text("")
    reached = await reach_archive((tmp_path / "file").as_uri(), {})
    assert (reached.ok, reached.code) == (False, "store_unavailable")
    reached = await reach_archive("s3://outputs", {"acess_key_id": "x"})
    assert (reached.ok, reached.code) == (False, "store_unusable")
