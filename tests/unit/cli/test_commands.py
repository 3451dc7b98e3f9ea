"""How the commands are laid out, in this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from relay.cli.commands import TABLE, app, build, named

COMMANDS = [
    "serve",
    "check",
    "doctor",
    "replay",
    "status",
    "tail",
    "tasks",
    "chats",
    "show",
    "dead-letters",
    "journal",
    "demo",
    "simulate",
    "schema",
    "asyncapi",
    "openapi",
    "version",
]

WHOLE: Any = get_command(app)
"""The whole program, which takes as long to build as most tests here."""

WITHOUT_JSON = {"serve": "runs until it is stopped; its output is the log, and log.format: json makes that JSON"}
"""Commands that take no ``--json``, and why."""


def commands(group: Any = None, *path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name."""
    for name, command in (group or WHOLE).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield " ".join((*path, name)), command


def test_every_command_takes_json() -> None:
    """A script that reads JSON from one command would get a table, or a refusal, from another."""
    taking = {name: any("--json" in each.opts for each in command.params) for name, command in commands()}
    assert len(taking) > 15
    assert {name for name, takes in taking.items() if not takes} == set(WITHOUT_JSON)


def test_help_shows_the_commands_in_the_order_of_their_use() -> None:
    """A newcomer would have to search for the command that comes first."""
    shown = CliRunner().invoke(app, ["--help"]).stdout
    places = [shown.index(f"  {command} ") for command in COMMANDS]
    assert places == sorted(places)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_start_builds_only_the_command_that_it_runs(command: str) -> None:
    """Each start would wait until all the others are built, too."""
    built: Any = get_command(build(named(["--debug", command, "--help"])))
    assert list(built.commands) == built.list_commands(None) == [command]
    assert [each.opts for each in built.params] == [each.opts for each in WHOLE.params]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["bogus"]])
def test_without_a_command_all_are_there(arguments: list[str]) -> None:
    """Help and completion would list none, and nobody who mistypes one would learn its name."""
    assert named(arguments) == TABLE


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_in_one_line_what_it_does(command: str) -> None:
    """The list of commands would show a cut-off sentence, or nothing."""
    text = WHOLE.commands[command].get_short_help_str(60)
    assert text.endswith(".")
    assert not text.endswith("...")


@pytest.mark.parametrize("markup", [None, "rich"])
@pytest.mark.parametrize("command", [*COMMANDS, "", *(name for name, _ in commands() if " " in name)])
def test_help_names_no_class_of_python(command: str, markup: Literal["rich"] | None) -> None:
    """A newcomer would read `<bool>` behind --help, and `<str>` behind an id, and wonder what to type."""
    program = build(named(command.split()))
    program.rich_markup_mode = markup
    shown = CliRunner().invoke(program, [*command.split(), "--help"], env={"COLUMNS": "120"}).stdout
    assert not re.findall(r"<[a-z]+>", shown), shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["serve", "--bogus"],
        ["tail", "--after", "soon"],
        ["tail", "--after", "1", "--from-start"],
        ["tail", "--url", "ftp://x"],
        ["dead-letters", "replay"],
        ["dead-letters", "delete", "--all", "dead-1"],
        ["journal", "export", "--topic", "nope"],
        ["simulate", "--fault", "lots=1"],
        ["simulate", "--fault", "lost=often"],
        ["simulate", "--fault", "lost=2"],
        ["simulate", "--queue", "5"],
        ["schema", "task", "--output", "x"],
        ["openapi", "--yaml", "--json"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    """A script could not distinguish a typing mistake from a failure."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert "Error" in result.output
