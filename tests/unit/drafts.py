"""Drafts for tests of what does not care what an event says."""

from __future__ import annotations

from relay.core.dedup import key_of
from relay.core.event import TASKS, DeadLetter, Draft, Event


def draft(task: str = "t1", *, says: str = "a", data: bytes = b'{"n":1}', conflict: bool = True) -> Draft:
    """The ending of a task; ``says`` is what it states, so that two values contradict each other."""
    event = Event(
        TASKS, "relay.task.succeeded", f"{task}:succeeded", "/novita/tasks", task, "2026-01-01T00:00:00.000Z", data
    )
    key = key_of("task", task, "terminal")
    return Draft(event, key, says.encode(), "relay.task.conflicted" if conflict else None)


def dead_draft(letter_id: str = "dead-1", raw: bytes = b"{}") -> Draft:
    """A delivery that could not be normalized."""
    event = Event(
        "dead-letters", "relay.delivery.dead", letter_id, "/novita/tasks", letter_id, "2026-01-01T00:00:00Z", b"{}"
    )
    return Draft(event, key_of("dead", letter_id), dead=DeadLetter(letter_id, "novita", "unknown_status", "?", raw))
