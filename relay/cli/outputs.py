"""``relay outputs``: lists the archived outputs of tasks and tries lost ones again, over the relay's consumer API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from relay.cli import completion, options
from relay.cli.client import Client, gathered
from relay.cli.connection import connect
from relay.cli.each import each
from relay.cli.format import age, size, until
from relay.cli.outcome import complain
from relay.cli.output import write_json
from relay.cli.table import write_table

app = typer.Typer(name="outputs", help="List archived outputs, and try lost ones again.", no_args_is_help=True)

_COLUMNS: Final = ("OUTPUT", "KIND", "STATE", "AGE", "DEADLINE", "TRIES", "SIZE", "NOTE")
_SPARE: Final = ("TRIES", "KIND", "SIZE", "DEADLINE", "NOTE", "AGE")


@app.command("list")
def list_(
    state: Annotated[
        str,
        typer.Option(metavar="STATE", autocompletion=completion.output_states, help="all, waiting, archived or lost."),
    ] = "all",
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Only outputs of this kind: image, video or audio.")
    ] = None,
    since: options.Since = None,
    until_: options.Until = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The maximum number of outputs.")] = 1000,
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """List the outputs that relay archives, newest first."""
    options.check_word(state, completion.OUTPUT_STATES, "--state")
    wanted = options.given(state=state, kind=kind, since=since, until=until_)
    found, page = gathered(connect(config, url, token, token_file).outputs(wanted), "outputs", limit)
    if json:
        write_json({"outputs": found, "waiting": page["waiting"]})
        return
    if found:
        write_table(_COLUMNS, [row(output) for output in found], _SPARE, prose=True)
    complain(f"{len(found)} shown; {page['waiting']} wait to be archived.")


@app.command()
def retry(
    outputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="OUTPUT", help="Which ones, as `relay outputs list` shows them: TASK/INDEX."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that are lost.")] = False,
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Try outputs again that are lost, or try at once those that wait.

    A link that has ended is renewed if the upstream still has the output.
    """
    if bool(outputs) == all_:
        raise typer.BadParameter("name outputs, or pass --all")
    client = connect(config, url, token, token_file)

    def tried(output: str) -> dict[str, Any]:
        return {"status": client.retry_output(*places[output])["state"]}

    places = {output: _place_of(output) for output in outputs or _lost(client)}
    each(places, tried, json, key="output")


def _lost(client: Client) -> Sequence[str]:
    return [name_of(output) for page in client.outputs({"state": "lost"}) for output in page["outputs"]]


def _place_of(output: str) -> tuple[str, int]:
    task_id, _, index = output.rpartition("/")
    if not task_id or not (index.isascii() and index.isdigit()):
        raise typer.BadParameter(f"{output!r} is not TASK/INDEX")
    return task_id, int(index)


def name_of(output: dict[str, Any]) -> str:
    """An output as people name it."""
    return f"{output['task_id']}/{output['index']}"


def row(output: dict[str, Any]) -> tuple[Any, ...]:
    """An output as the columns of the table have it; the last one says where it is, or why it is not."""
    named = [output[name] for name in ("kind", "state")]
    deadline = None if output["deadline"] is None else until(output["deadline"])
    held = None if output["size"] is None else size(output["size"])
    note = output["url"] or output["reason"]
    return (name_of(output), *named, age(output["accepted_at"]), deadline, output["attempts"], held, note)
