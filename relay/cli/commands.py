"""All commands in one place, each from the module that is named after it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from relay.cli import about, check, dead_letters, demo, journal, register_schemas, replay, serve, tail, tasks
from relay.cli.doctor.command import doctor
from relay.cli.outcome import Commands

_RUN, _LOOK, _REHEARSE, _ABOUT = "Run", "Look inside", "Rehearse", "About"

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    # Frames and colour are for people on a terminal.
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def relay(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=about.show_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
) -> None:
    """Event bridge for Novita AI: webhooks in, CloudEvents exactly once on Kafka and Redis Streams."""


app.command(rich_help_panel=_RUN)(serve.serve)
app.command(rich_help_panel=_RUN)(check.check)
app.command(rich_help_panel=_RUN)(doctor)
app.command(rich_help_panel=_RUN)(replay.replay)
app.command(rich_help_panel=_LOOK)(tail.tail)
app.command(rich_help_panel=_LOOK)(tasks.tasks)
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel=_LOOK)
app.add_typer(journal.app, name="journal", rich_help_panel=_LOOK)
app.command(rich_help_panel=_REHEARSE)(demo.demo)
app.command(rich_help_panel=_REHEARSE)(demo.simulate)
app.command(rich_help_panel=_ABOUT)(about.schema)
app.command(rich_help_panel=_ABOUT)(about.asyncapi)
app.command(rich_help_panel=_ABOUT)(about.openapi)
app.command(rich_help_panel=_ABOUT)(register_schemas.register_schemas)
app.command(rich_help_panel=_ABOUT)(about.version)
