"""The commands as Markdown, made from what ``--help`` shows: the second half of ``docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, Final

from typer.main import get_command

from docs.reference import markdown
from relay.cli.commands import app

BEGINNING: Final = "<!-- Written by make docs, from the commands. -->"
"""The line below which the page is generated."""


def reference() -> str:
    """Every command with its usage, arguments and options, in the order of ``relay --help``."""
    command = get_command(app)
    return "\n".join(_sections(command, command.make_context("relay", [], resilient_parsing=True)))


def renewed(page: str) -> str:
    """A page with its generated part as it has to be. Raises ``ValueError`` where the page has no such part."""
    return markdown.renewed(page, BEGINNING, reference())


def _sections(command: Any, context: Any) -> Iterator[str]:
    """The section of a command, and of those below it. ``Any``: typer keeps the classes of its parser to itself."""
    yield f"### {context.command_path}"
    yield ""
    yield from (line.rstrip() for line in cleandoc(command.help or "").splitlines())
    yield ""
    yield from ("```text", " ".join([context.command_path, *command.collect_usage_pieces(context)]), "```", "")
    rows = [record for parameter in command.get_params(context) if (record := _record(parameter, context))]
    if rows:
        yield from ("| | |", "| --- | --- |")
        yield from (f"| `{name}` | {text} |" for name, text in rows)
        yield ""
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        child = command.get_command(context, name)
        yield from _sections(child, child.make_context(name, [], parent=context, resilient_parsing=True))


def _record(parameter: Any, context: Any) -> tuple[str, str] | None:
    """What ``--help`` says of an argument or option, fit for a cell of a table; ``None`` of ``--help`` itself."""
    if "--help" in parameter.opts:
        return None
    record = parameter.get_help_record(context)
    if record is None:
        return None
    name, text = (" ".join(part.split()).replace("|", "\\|") for part in record)
    return name, text.replace("<", "&lt;")
