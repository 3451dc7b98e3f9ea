"""All commands in one table, each from the module that is named after it: a new command adds its row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer

from relay.cli import (
    about,
    chats,
    check,
    dead_letters,
    demo,
    drain,
    journal,
    outputs,
    register_schemas,
    replay,
    serve,
    show,
    status,
    tail,
    tasks,
)
from relay.cli.doctor.command import doctor
from relay.cli.outcome import Commands

_RUN, _LOOK, _REHEARSE, _ABOUT = "Run", "Look inside", "Rehearse", "About"

_Row = tuple[str, Callable[..., None] | typer.Typer]

TABLE: Final[tuple[_Row, ...]] = (
    (_RUN, serve.serve),
    (_RUN, check.check),
    (_RUN, doctor),
    (_RUN, replay.replay),
    (_RUN, drain.drain),
    (_LOOK, status.status),
    (_LOOK, tail.tail),
    (_LOOK, tasks.tasks),
    (_LOOK, chats.chats),
    (_LOOK, show.show),
    (_LOOK, outputs.app),
    (_LOOK, dead_letters.app),
    (_LOOK, journal.app),
    (_REHEARSE, demo.demo),
    (_REHEARSE, demo.simulate),
    (_ABOUT, about.schema),
    (_ABOUT, about.asyncapi),
    (_ABOUT, about.openapi),
    (_ABOUT, register_schemas.register_schemas),
    (_ABOUT, about.version),
)
"""Every command, or group of commands with a name of its own, in the order in which people meet them."""


class Ordered(Commands):
    """The commands in the order of the table; typer would show groups after single commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, as the table has them."""
        return [name for _, command in TABLE if (name := _name(command)) in self.commands]


def _name(command: Callable[..., None] | typer.Typer) -> str:
    return str(command.info.name) if isinstance(command, typer.Typer) else command.__name__.replace("_", "-")


def relay(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=about.show_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
) -> None:
    """Event bridge for Novita AI: webhooks in, CloudEvents exactly once on Kafka and Redis Streams."""


def build(rows: Sequence[_Row] = TABLE) -> typer.Typer:
    """The program with these commands."""
    built = typer.Typer(
        cls=Ordered,
        no_args_is_help=True,
        # Frames and colour are for people on a terminal.
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    built.callback()(relay)
    for panel, command in rows:
        if isinstance(command, typer.Typer):
            built.add_typer(command, rich_help_panel=panel)
        else:
            built.command(rich_help_panel=panel)(command)
    return built


def named(arguments: Sequence[str]) -> Sequence[_Row]:
    """The row of the command that the arguments name; all rows for help, completion and a name that there is not.

    Typer takes as long to build all commands as to import half of a library.
    """
    name = next((each for each in arguments if not each.startswith("-")), None)
    return [row for row in TABLE if _name(row[1]) == name] or TABLE


app = build()
"""The whole program."""
