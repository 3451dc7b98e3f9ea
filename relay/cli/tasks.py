"""``relay tasks``: lists all known tasks with their states, over the relay's consumer API."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from relay.cli import completion, options
from relay.cli.client import gathered
from relay.cli.connection import connect
from relay.cli.format import age, until
from relay.cli.outcome import complain
from relay.cli.output import write_json
from relay.cli.table import write_table

_COLUMNS: Final = ("TASK", "TYPE", "STATE", "VIA", "AGE", "POLLS", "NEXT POLL", "NOTE")
_SPARE: Final = ("POLLS", "VIA", "NEXT POLL", "TYPE", "NOTE", "AGE")


def tasks(
    state: Annotated[
        str,
        typer.Option(
            metavar="STATE",
            autocompletion=completion.task_states,
            help="pending, overdue, ended, all; or submitted, running, succeeded, failed, abandoned.",
        ),
    ] = "pending",
    kind: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="Only tasks of this type, like TXT_TO_VIDEO."),
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The maximum number of tasks, newest first.")] = 1000,
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """List all tasks that relay knows, newest first.

    `relay show` has all about one of them.
    """
    options.check_word(state, completion.TASK_STATES, "--state")
    wanted = options.given(state=state, type=kind, since=since, until=until)
    found, page = gathered(connect(config, url, token, token_file).tasks(wanted), "tasks", limit)
    if json:
        write_json({"tasks": found, "counts": page["counts"]})
        return
    if found:
        write_table(_COLUMNS, [row(task) for task in found], _SPARE, prose=True)
    complain(summary(len(found), page["counts"]))


def summary(shown: int, counts: dict[str, int]) -> str:
    """How many are shown, and how many there are."""
    there = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"
    return f"{shown} shown; submitted or watched: {there}."


def row(task: dict[str, Any]) -> tuple[Any, ...]:
    """A task as the columns of the table have it; the last one says why it hangs or ended."""
    note = task["reason"] or task["trouble"]
    named = [task[name] for name in ("task_id", "task_type", "state", "known_via")]
    due = None if task["next_poll_at"] is None else until(task["next_poll_at"])
    return (*named, age(task["submitted_at"] or task["ended_at"]), task["polls"], due, note)
