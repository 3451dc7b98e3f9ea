"""What people see of the demo: a line per event, a table and a conclusion at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from relay.demo.scenario import NO_TROUBLE, Trouble
from relay.demo.verdict import CONFLICTED, FAULTS, Verdict

Json = dict[str, Any]

_STYLES = {
    "relay.task.succeeded": "green",
    "relay.task.failed": "red",
    CONFLICTED: "bold yellow",
}


def event_line(offset: int, event: Json, trouble: Trouble) -> Text:
    """An event in one line: where, what, about which task, and what had gone wrong before."""
    data = event["data"]
    outputs = ", ".join(f"{output['kind']} {output['format']}" for output in data["outputs"])
    line = Text(f"{offset:>5}  ", "dim")
    line.append(f"{event['type']:<22}", _STYLES.get(event["type"], ""))
    line.append(f"{data['task_type'] or '?':<27}{event['subject'][:8]}  ")
    line.append(outputs or data["reason"] or "")
    if trouble != NO_TROUBLE:
        line.append(f"  ({trouble.told})", "dim")
    return line


def table(verdict: Verdict) -> Table:
    """One row per kind of trouble."""
    shown = Table(title="What went wrong on purpose, and what came out", title_justify="left")
    shown.add_column("injected")
    for heading in ("tasks", "deliveries tried", "as expected"):
        shown.add_column(heading, justify="right")
    for trouble in dict.fromkeys(task.trouble for task in verdict.expected):
        tasks = [task for task in verdict.expected if task.trouble == trouble]
        good = sum(task.task_id not in verdict.bad for task in tasks)
        style = "" if good == len(tasks) else "bold red"
        shown.add_row(trouble.told, str(len(tasks)), str(sum(task.attempts for task in tasks)), str(good), style=style)
    return shown


def conclusion(verdict: Verdict) -> Iterator[Text]:
    """The result in words, what is wrong by task id."""
    attempts = sum(task.attempts for task in verdict.expected)
    yield Text(
        f"{len(verdict.expected)} tasks, {attempts} deliveries tried, {verdict.terminals} terminal events, "
        f"conflicts: {len(verdict.conflicted)}."
    )
    for task_id in verdict.conflicted:
        yield Text(f"conflicted: {task_id}", "yellow")
    for fault in FAULTS:
        for task_id in getattr(verdict, fault):
            yield Text(f"{fault}: {task_id}", "bold red")
    if not verdict.bad:
        yield Text("Every task has exactly one terminal event.", "bold green")
