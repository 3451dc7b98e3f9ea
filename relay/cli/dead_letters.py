"""``relay dead-letters``: lists, shows, replays and deletes them, over the relay's consumer API."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer

from relay.cli import completion, options
from relay.cli.client import Client
from relay.cli.connection import connect
from relay.cli.each import each
from relay.cli.outcome import complain
from relay.cli.output import write_block, write_facts, write_json, write_line
from relay.cli.table import write_table

app = typer.Typer(name="dead-letters", help="List, inspect, replay and delete dead letters.", no_args_is_help=True)

_COLUMNS: Final = ("ID", "ACCEPTED", "ORIGIN", "REASON", "SUBJECT", "BYTES", "DETAIL")
_SPARE: Final = ("BYTES", "ORIGIN", "SUBJECT", "DETAIL", "ACCEPTED")

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID",
        autocompletion=completion.dead_letters,
        help="Their ids, as `relay dead-letters list` shows them.",
    ),
]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


@app.command("list")
def list_(
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """List all dead letters."""
    letters = list(connect(config, url, token, token_file).dead_letters())
    if json:
        write_json({"dead_letters": letters})
    elif letters:
        write_table(_COLUMNS, [_row(letter) for letter in letters], _SPARE, prose=True)
    else:
        complain("No dead letters.")


@app.command()
def show(
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            autocompletion=completion.dead_letters,
            help="Its id, as `relay dead-letters list` shows it.",
        ),
    ],
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Show one dead letter with its content; secrets are redacted."""
    letter = connect(config, url, token, token_file).dead_letter(id)
    if json:
        write_json(letter)
        return
    shown = {name: letter[name] for name in ("id", "origin", "reason", "detail", "accepted_at", "raw_bytes")}
    shown |= {f"event {name}": value for name, value in (letter["event"] or {}).items()}
    write_facts([(name, str(value)) for name, value in shown.items()])
    write_line()
    write_block(letter["raw"])


@app.command()
def replay(
    ids: Ids = None,
    all_: All = False,
    yes: options.Yes = False,
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Replay dead letters, once their cause is fixed."""
    client = connect(config, url, token, token_file)
    each(_chosen(client, "Replay", ids, all_, yes), client.replay, json)


@app.command()
def delete(
    ids: Ids = None,
    all_: All = False,
    yes: options.Yes = False,
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Delete dead letters for good."""
    client = connect(config, url, token, token_file)

    def forget(id: str) -> dict[str, Any]:
        client.delete(id)
        return {"status": "deleted"}

    each(_chosen(client, "Delete", ids, all_, yes), forget, json)


def _row(letter: dict[str, Any]) -> tuple[Any, ...]:
    subject = (letter["event"] or {}).get("subject")
    named = [letter[name] for name in ("id", "accepted_at", "origin", "reason")]
    return (*named, subject, letter["raw_bytes"], letter["detail"])


def _chosen(client: Client, verb: str, ids: list[str] | None, all_: bool, yes: bool) -> list[str]:
    """The letters that are meant; for ``--all`` somebody has to agree."""
    if bool(ids) == all_:
        raise typer.BadParameter("name dead letters, or pass --all")
    if ids:
        return ids
    found = [str(letter["id"]) for letter in client.dead_letters()]
    if found and not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("needs --yes without a terminal", param_hint="'--all'")
        typer.confirm(f"{verb} all {len(found)} dead letters?", abort=True, err=True)
    return found
