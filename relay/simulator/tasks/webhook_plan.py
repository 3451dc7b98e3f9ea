"""Which webhooks a task sends, when, and what each contains. Decided in full when the task is submitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import orjson

from relay.simulator.tasks.results import UNKNOWN_EVENT_TYPE, envelope, result
from relay.simulator.tasks.task import FAILED, PROCESSING, SUCCEED, Life, Phase, Task

RESIGNED_AFTER_MS = 60_000
"""How much later a URL is signed again: enough to differ, whatever the clock's resolution."""


@dataclass(frozen=True, slots=True)
class PlannedWebhook:
    """One webhook to be delivered, ``after`` so many seconds since the submission and after the one before it.

    ``copies`` are sent at once; the first ``dropped`` attempts of each are lost on the way, the answers to the next
    ``unanswered`` on the way back. ``phase`` is what it says about the task, ``other_outputs`` that it names others.
    """

    label: str
    after: float
    phase: Phase
    copies: int = 1
    dropped: int = 0
    unanswered: int = 0
    other_outputs: bool = False
    resigned: bool = False


def plan(task: Task) -> tuple[PlannedWebhook, ...]:
    """The webhooks of a task in the order in which they go out; none if they are lost."""
    return () if task.fate.lost else tuple(_plan(task))


def render(task: Task, planned: PlannedWebhook, now: int) -> bytes:
    """The body of a webhook that is sent at ``now``, in epoch milliseconds."""
    fate = task.fate
    signed_at = now + RESIGNED_AFTER_MS if planned.resigned else now
    payload = result(task, planned.phase, signed_at, "-other" if planned.other_outputs else "")
    if fate.malformed:
        payload = {"result": payload["task"]["task_id"]}
    if fate.bare:
        return orjson.dumps(payload)
    return orjson.dumps(envelope(payload, UNKNOWN_EVENT_TYPE) if fate.unknown_event else envelope(payload))


def _plan(task: Task) -> Iterator[PlannedWebhook]:
    fate, life = task.fate, task.life
    running = PlannedWebhook("progress", life.queued_for + life.runs_for / 2, _halfway(task, life))
    if fate.progress:
        yield running
    if life.ends_in is None:
        return
    terminal = PlannedWebhook("terminal", life.ends_after + fate.late, task.ended(life.ends_in))
    yield replace(terminal, copies=max(1, fate.doubled), dropped=fate.dropped, unanswered=fate.unanswered)
    if fate.reordered:
        yield replace(running, after=terminal.after)
    if fate.resigned:
        yield replace(terminal, label="resigned", resigned=True)
    if fate.contradict:
        yield _contradiction(task, terminal)


def _contradiction(task: Task, terminal: PlannedWebhook) -> PlannedWebhook:
    """Other outputs only make sense where there are any; else the other status."""
    other = replace(terminal, label="contradiction")
    if task.fate.contradict == "outputs" and terminal.phase.status == SUCCEED:
        return replace(other, other_outputs=True)
    return replace(other, phase=task.ended(FAILED if terminal.phase.status == SUCCEED else SUCCEED))


def _halfway(task: Task, life: Life) -> Phase:
    moving = task.asked.endpoint.kind == "video"
    return Phase(PROCESSING, progress=50 if moving else 0, eta=round(life.runs_for / 2))
