"""``relay tasks``: lists all known tasks with their states, over the relay's consumer API."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from relay.cli import completion, options
from relay.cli.client import gathered
from relay.cli.connection import connect
from relay.cli.format import age, duration, searched, until
from relay.cli.outcome import complain
from relay.cli.output import write_json
from relay.cli.table import write_table

_COLUMNS: Final = ("TASK", "TYPE", "STATE", "VIA", "AGE", "DURATION", "POLLS", "NEXT POLL", "NOTE")
_SPARE: Final = ("POLLS", "VIA", "NEXT POLL", "DURATION", "TYPE", "NOTE", "AGE")


def tasks(
    state: Annotated[
        str,
        typer.Option(
            metavar="STATE",
            autocompletion=completion.task_states,
            help="all, pending, overdue, ended; or submitted, running, succeeded, failed, abandoned.",
        ),
    ] = "all",
    kind: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="Only tasks of this type, like TXT_TO_VIDEO."),
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="ORDER", autocompletion=completion.task_sorts, help="newest; or duration, the longest first."
        ),
    ] = "newest",
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The maximum number of tasks.")] = 1000,
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """List all tasks that relay knows, newest first or sorted.

    `relay show` has all about one of them.
    """
    options.check_word(state, completion.TASK_STATES, "--state")
    options.check_word(sort, completion.TASK_SORTS, "--sort")
    wanted = options.given(state=state, type=kind, since=since, until=until, sort=sort)
    found, page = gathered(connect(config, url, token, token_file).tasks(wanted), "tasks", limit)
    if json:
        write_json({"tasks": found, "counts": page["counts"], "searched_since": page["searched_since"]})
        return
    if found:
        write_table(_COLUMNS, [row(task) for task in found], _SPARE, prose=True)
    complain(summary(len(found), page))


def summary(shown: int, page: dict[str, Any]) -> str:
    """How many are shown, and how many there are."""
    there = ", ".join(f"{count} {state}" for state, count in page["counts"].items() if count) or "none"
    return f"{shown} shown{searched(page)}; submitted or watched: {there}."


def row(task: dict[str, Any]) -> tuple[Any, ...]:
    """A task as the columns of the table have it; the last one says why it hangs or ended."""
    note = task["reason"] or task["trouble"]
    named = [task[name] for name in ("task_id", "task_type", "state", "known_via")]
    due = None if task["next_poll_at"] is None else until(task["next_poll_at"])
    lasted = None if task["duration_ms"] is None else duration(task["duration_ms"] / 1000)
    return (*named, age(task["submitted_at"] or task["ended_at"]), lasted, task["polls"], due, note)
