"""``relay status``: whether a running relay is well, and what waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

import typer

from relay.cli import options
from relay.cli.connection import connect
from relay.cli.doctor.findings import LITTLE_SPACE, Finding
from relay.cli.format import age, counted, duration, size
from relay.cli.outcome import FAILED
from relay.cli.output import write_facts, write_finding, write_json, write_line
from relay.cli.table import write_table

Json = Mapping[str, Any]

LATE: Final = 60.0
"""Seconds that an event waits for a sink which is up, from which somebody should look; the alert waits longer."""
MANY_OVERDUE: Final = 100
"""Tasks, as for the alert RelayTasksOverdue: a few are late whenever many fall due at once."""
_DRAINS: Final = {
    "draining": "drains: it accepts deliveries until its chats have ended and its sinks have everything",
    "drained": "has drained: its sinks have everything, and it accepts nothing more",
}
_COLUMNS: Final = ("SINK", "STATE", "LAG", "WAITING", "PUBLISHED", "DEAD", "OFFSET", "LAST ERROR")
_SPARE: Final = ("OFFSET", "PUBLISHED", "DEAD", "LAST ERROR", "WAITING")


def status(
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Show whether a running relay is well, and what waits.

    What needs attention comes first. Exit codes: 0 well, perhaps with warnings; 1 it accepts nothing, a sink is down,
    or no relay answers.
    """
    client = connect(config, url, token, token_file)
    shown = client.status()
    found = list(attention(shown))
    ok = all(each.status != "failed" for each in found)
    if json:
        write_json({"ok": ok, "findings": [asdict(each) for each in found], "status": shown})
    else:
        _write(client.url, shown, found)
    raise typer.Exit(0 if ok else FAILED)


def attention(status: Json) -> Iterator[Finding]:
    """What somebody should look at, the most urgent first. Pure."""
    findings = [*_readiness(status), *(each for sink in status["sinks"] for each in _sink(sink)), *_others(status)]
    yield from sorted(findings, key=lambda each: each.status != "failed")


def _readiness(status: Json) -> Iterator[Finding]:
    for reason in status["ready"]["reasons"]:
        code, _, text = reason.partition(": ")
        if code in _DRAINS:
            yield Finding("relay", "failed", _DRAINS[code], "`relay drain --cancel` or a restart ends that.", code)
            continue
        hint = "Senders get a 503 and try again. docs/runbook.md has each of these reasons."
        yield Finding("relay", "failed", f"accepts nothing: {text or code}", hint, code)


def _sink(sink: Json) -> Iterator[Finding]:
    name, trouble, waiting = f"sink {sink['label']}", sink["trouble"], counted(sink["pending"], "event")
    late = f"the oldest for {duration(sink['lag_seconds'])}"
    if trouble is not None:
        message = f"{trouble['message']} It has been so for {age(trouble['since'])}; waiting: {waiting}."
        yield Finding(name, "failed", message, trouble["hint"], trouble["code"])
    elif sink["up"] is False:
        yield Finding(name, "failed", f"is down; waiting: {waiting}", "See the relay's log.", "sink_down")
    elif sink["up"] is None:
        yield Finding(name, "warning", "has not been opened yet", "Look again in a moment.", "sink_opening")
    elif sink["pending"] and sink["lag_seconds"] > LATE:
        hint = "It is slower than what comes in, or catches up: see relay_publish_lag_seconds over time."
        yield Finding(name, "warning", f"waiting: {waiting}, {late}", hint, "sink_late")


def _others(status: Json) -> Iterator[Finding]:
    letters, overdue = status["journal"]["dead_letters"], status["tasks"]["overdue"]
    if letters:
        hint = "See why with `relay dead-letters list`; once the cause is fixed, `relay dead-letters replay`."
        yield Finding("dead letters", "warning", f"{letters} to replay or delete", hint, "dead")
    if overdue > MANY_OVERDUE:
        hint = "Raise reconcile.max_rate, or see whether the upstream refuses polls: `relay tasks --state overdue`."
        yield Finding("tasks", "warning", f"{overdue} should have been polled by now", hint, "tasks_overdue")
    free = status["journal"]["disk_free_bytes"]
    if free is not None and free < LITTLE_SPACE:
        hint = "Make room: a full disk refuses every webhook."
        yield Finding("disk", "warning", f"has {size(free)} left for the journal", hint, "disk_filling")
    if status["upstream"]["up"] is False:
        hint = "`relay doctor` tries the address and the key."
        yield Finding("upstream", "warning", "is unreachable, or refuses or fails polls", hint, "upstream_down")


def facts(url: str, status: Json) -> Iterator[tuple[str, str]]:
    """The rest, name by name. Pure."""
    from relay.core.clock import parse_rfc3339

    up = (parse_rfc3339(status["now"]) - parse_rfc3339(status["started_at"])) / 1000
    journal, tasks = status["journal"], status["tasks"]
    yield "relay", f"{status['identity']}, {status['version']}, at {url}, up for {duration(up)}"
    yield "journal", f"{counted(journal['events'], 'event')}, {size(journal['bytes'])}, offset {journal['last_offset']}"
    if (free := journal["disk_free_bytes"]) is not None:
        yield "disk", f"{size(free)} free; when it is full, relay refuses deliveries"
    yield "dead letters", str(journal["dead_letters"])
    yield "tasks", f"{tasks['pending']} pending, {tasks['overdue']} overdue"
    yield "chats", f"{status['chats']['open']} open"
    yield "upstream", {None: "not tried yet", True: "up", False: "down"}[status["upstream"]["up"]]


def row(sink: Json) -> tuple[Any, ...]:
    """A sink as the columns of the table have it."""
    state = {None: "opening", True: "up", False: "down"}[sink["up"]]
    trouble = sink["trouble"]
    lag = duration(sink["lag_seconds"]) if sink["pending"] else "none"
    error = None if trouble is None else f"{trouble['code']}: {trouble['message']}"
    return (sink["label"], state, lag, sink["pending"], sink["published"], sink["dead"], sink["offset"], error)


def _write(url: str, status: Json, found: list[Finding]) -> None:
    for each in found:
        write_finding(each)
    if not found:
        write_finding(Finding("relay", "ok", "accepts deliveries, and nothing waits for attention"))
    write_line()
    write_facts(list(facts(url, status)))
    write_line()
    if status["sinks"]:
        write_table(_COLUMNS, [row(sink) for sink in status["sinks"]], _SPARE, prose=True)
    else:
        write_line(("No sink is configured: the journal is the stream (`relay tail`).", ""))
