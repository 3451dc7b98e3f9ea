"""How failures become exit codes."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from relay.cli.outcome import Commands, from_system, tell
from relay.core.errors import RelayError


def app_that_raises(error: Exception) -> typer.Typer:
    app = typer.Typer(cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.callback()
    def root(debug: bool = False) -> None:
        """A command that fails."""

    @app.command()
    def serve() -> None:
        raise error

    return app


def test_a_foreseen_failure_is_reported_with_what_to_do() -> None:
    """An operator would get a traceback instead of advice."""
    result = CliRunner().invoke(app_that_raises(RelayError("x", "It broke.", hint="Fix it.")), ["serve"])
    assert result.exit_code == 1
    assert result.stderr == "relay: It broke.\n       Fix it.\n"


def test_a_bug_is_one_line_and_the_traceback_comes_on_request() -> None:
    """A user would be flooded, or a developer left without a trace."""
    app = app_that_raises(KeyError("x"))
    brief, long = CliRunner().invoke(app, ["serve"]), CliRunner().invoke(app, ["--debug", "serve"])
    assert brief.exit_code == long.exit_code == 1
    assert brief.stderr.count("\n") == 1
    assert "this is a bug: KeyError" in brief.stderr
    assert "Traceback" in long.stderr


def test_what_the_system_refuses_is_no_bug() -> None:
    """A full disk or a missing right would be reported to the developers."""
    result = CliRunner().invoke(app_that_raises(PermissionError(13, "Permission denied", "/x")), ["serve"])
    assert result.exit_code == 1
    what, hint = result.stderr.splitlines()
    assert what == "relay: /x: Permission denied."
    assert hint.strip().startswith("Check who may read it")
    assert str(from_system(OSError("odd"))) == "odd."


def test_bad_configuration_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """A service manager would keep restarting a relay that cannot start before somebody fixes its file."""
    assert tell(RelayError("bad_configuration", "a.yaml:1: x\na.yaml:2: y")) == 78
    assert capsys.readouterr().err == "a.yaml:1: x\na.yaml:2: y\n"
