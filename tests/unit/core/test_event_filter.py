"""Which events a filter takes."""

from __future__ import annotations

from relay.core.event import Entry, Event
from relay.core.event_filter import EventFilter

AT = 1_767_225_601_000
ENTRY = Entry(7, 0, Event("tasks", "relay.task.failed", "id-1", "source", "task-1", "2026-01-01T00:00:01.000Z", b"{}"))


def test_a_filter_takes_what_it_names() -> None:
    """A replay would publish, or a consumer get, other events than those that were asked for."""
    assert EventFilter().takes(ENTRY)
    assert EventFilter(("tasks",), ("relay.task.failed",), "task-1", AT, AT).takes(ENTRY)
    assert EventFilter(topics=("chat", "tasks"), types=("relay.task.failed", "relay.task.succeeded")).takes(ENTRY)
    assert not EventFilter(topics=("chat", "chat-chunks")).takes(ENTRY)
    assert not EventFilter(types=("relay.task.succeeded",)).takes(ENTRY)
    assert not EventFilter(subject="task-2").takes(ENTRY)
    assert not EventFilter(not_before=AT + 1).takes(ENTRY)
    assert not EventFilter(not_after=AT - 1).takes(ENTRY)


def test_a_replay_for_one_sink_is_no_news() -> None:
    """Consumers would see the event a second time."""
    assert not EventFilter().takes(ENTRY._replace(sink="redis"))


def test_a_filter_that_leaves_nothing_out_says_so() -> None:
    """Consumers of everything would read the journal in the small steps of those who want little."""
    assert not EventFilter().selective
    assert EventFilter(subject="task-1").selective
    assert EventFilter(not_after=AT).selective
