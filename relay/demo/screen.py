"""What the demo shows: a line per event, then a table and a conclusion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from relay.demo.scenario import NO_TROUBLE, Trouble
from relay.demo.toy_sink import Account
from relay.demo.verdict import CONFLICTED, FAULTS, Verdict

Json = dict[str, Any]

_STYLES = {
    "relay.task.succeeded": "green",
    "relay.task.failed": "red",
    "relay.task.submitted": "dim",
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
    if data["observed_via"] == "poll":
        line.append("  found by polling", "cyan")
    if trouble != NO_TROUBLE:
        line.append(f"  ({trouble.description})", "dim")
    return line


def dead_letter_line(offset: int, event: Json) -> Text:
    """A delivery that could not be read: where, what, under which id it is kept, and why."""
    data = event["data"]
    line = Text(f"{offset:>5}  ", "dim")
    line.append(f"{event['type']:<22}", "bold red")
    return line.append(f"{data['reason']:<27}{event['subject']}  kept: relay dead-letters list")


def table(verdict: Verdict) -> Table:
    """One row per kind of trouble."""
    shown = Table(title="What went wrong on purpose, and what came out", title_justify="left")
    shown.add_column("injected")
    for heading in ("times", "deliveries tried", "as expected"):
        shown.add_column(heading, justify="right")
    for trouble in dict.fromkeys(begun.trouble for begun in verdict.expected):
        struck = [begun for begun in verdict.expected if begun.trouble == trouble]
        good = sum(begun.subject not in verdict.bad for begun in struck)
        tried = "-" if struck[0].is_chat else str(sum(begun.attempts for begun in struck))
        shown.add_row(
            trouble.description, str(len(struck)), tried, str(good), style="" if good == len(struck) else "bold red"
        )
    return shown


def conclusion(verdict: Verdict) -> Iterator[Text]:
    """The result in words, what is wrong by the id of the task or chat."""
    if not verdict.expected:
        yield Text("Interrupted before the first round had ended: nothing was checked.", "yellow")
        return
    attempts = sum(begun.attempts for begun in verdict.expected)
    chats = sum(begun.is_chat for begun in verdict.expected)
    yield Text(
        f"{len(verdict.expected) - chats} tasks, {attempts} deliveries tried, {chats} chats, "
        f"{verdict.terminals} terminal events, conflicts: {len(verdict.conflicted)}."
    )
    for subject in verdict.conflicted:
        yield Text(f"conflicted: {subject}", "yellow")
    for fault in FAULTS:
        for subject in getattr(verdict, fault):
            yield Text(f"{fault}: {subject}", "bold red")
    if not verdict.bad:
        yield Text("Every task and every chat has exactly one terminal event.", "bold green")


def on_the_sink(account: Account) -> Iterator[Text]:
    """Whether the sink has every event of the journal exactly once, in words."""
    yield Text(
        f"Toy sink: {account.events} events; {account.lost_replies} replies lost, "
        f"and {account.refused} tries refused while it was away."
    )
    for fault in ("missing", "repeated"):
        for event_id in getattr(account, fault):
            yield Text(f"{fault} on the sink: {event_id}", "bold red")
    if not account.in_order:
        yield Text("The events on the sink are not in the order of the journal.", "bold red")
    if account.good:
        yield Text("The sink has every event exactly once, in order.", "bold green")
