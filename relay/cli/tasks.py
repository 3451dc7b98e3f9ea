"""``relay tasks``: lists all known tasks with their states, over the relay's consumer API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final

import typer

from relay.cli import completion, options
from relay.cli.client import Client
from relay.cli.connection import connect
from relay.cli.outcome import complain
from relay.cli.output import write_json, write_line, write_table
from relay.cli.tail import event_line

_COLUMNS: Final = ("TASK", "TYPE", "STATE", "VIA", "AGE", "POLLS", "NEXT POLL", "NOTE")
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def tasks(
    task_id: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK_ID",
            autocompletion=completion.task_ids,
            help="Show this task with its events.",
        ),
    ] = None,
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
    """List all tasks that relay knows, newest first."""
    client = connect(config, url, token, token_file)
    if task_id is not None:
        _show(client.task(task_id), json)
        return
    named = {"state": state, "type": kind, "since": since, "until": until}
    listing = Listing(client, {name: value for name, value in named.items() if value is not None})
    found = list(islice(listing.tasks(), limit))
    if json:
        write_json({"tasks": found, "counts": listing.counts})
        return
    if found:
        write_table(_COLUMNS, [_row(task) for task in found])
    complain(summary(len(found), listing.counts))


class Listing:
    """The tasks that a relay lists, page by page. ``counts`` are those of the last page: by state."""

    def __init__(self, client: Client, wanted: dict[str, str]) -> None:
        self._client, self._wanted = client, wanted
        self.counts: dict[str, int] = {}

    def tasks(self) -> Iterator[dict[str, Any]]:
        """All that is wanted, newest first."""
        before: str | None = ""
        while before is not None:
            page = self._client.tasks(before, self._wanted)
            self.counts = page["counts"]
            yield from page["tasks"]
            before = page["next"]


def summary(shown: int, counts: dict[str, int]) -> str:
    """How many are shown, and how many there are."""
    there = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"
    return f"{shown} shown; submitted or watched: {there}."


def _row(task: dict[str, Any]) -> tuple[Any, ...]:
    note = task["reason"] or task["trouble"]
    named = [task[name] for name in ("task_id", "task_type", "state", "known_via")]
    due = None if task["next_poll_at"] is None else until(task["next_poll_at"])
    return (*named, age(task["submitted_at"] or task["ended_at"]), task["polls"], due, note)


def age(instant: str) -> str:
    """How long ago an instant is, in its largest unit."""
    return _in_words(-_from_now(instant))


def until(instant: str) -> str:
    """In how long an instant is, in its largest unit; ``now`` where it is past."""
    seconds = _from_now(instant)
    return f"in {_in_words(seconds)}" if seconds >= 1 else "now"


def _from_now(instant: str) -> float:
    from relay.core.clock import parse_rfc3339

    return parse_rfc3339(instant) / 1000 - time.time()


def _in_words(seconds: float) -> str:
    seconds = max(0, int(seconds))
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds // size}{unit}"


def _show(task: dict[str, Any], json: bool) -> None:
    if json:
        write_json(task)
        return
    for name, value in task.items():
        if name != "events" and value is not None:
            write_line((f"{name:<14} ", "bold"), (str(value), ""))
    write_line()
    for entry in task["events"]:
        write_line(*event_line(entry["event"]))
