"""One line per event for people. Following and reconnecting run in tests/integration/test_cli.py."""

from __future__ import annotations

from relay.cli.tail import event_line


def text_of(event: dict[str, object]) -> str:
    return "".join(text for text, _ in event_line(event))


def test_a_line_says_what_came_of_a_task() -> None:
    """Somebody who watches would have to look every event up."""
    data = {
        "task_type": "TXT_TO_IMG",
        "outputs": [{"kind": "image"}, {"kind": "image"}, {"kind": "audio"}],
        "reason": None,
    }
    event = {"type": "relay.task.succeeded", "subject": "t-1", "time": "2026-01-01T00:00:00.000Z", "data": data}
    line = text_of(event)
    assert line.startswith("2026-01-01T00:00:00.000Z  relay.task.succeeded   t-1  ")
    assert line.endswith("TXT_TO_IMG  2 image, 1 audio")


def test_a_line_says_why_a_delivery_is_dead() -> None:
    """The reason of a dead letter would not show."""
    data = {"reason": "not_a_task_result", "detail": "task is missing"}
    event = {"type": "relay.delivery.dead", "subject": "dead-1", "time": "2026-01-01T00:00:00.000Z", "data": data}
    assert text_of(event).endswith("not_a_task_result  task is missing")
    assert "red" in dict(event_line(event))["relay.delivery.dead    "]


def test_an_unknown_type_is_shown_all_the_same() -> None:
    """A newer relay's events would break an older `relay tail`."""
    event = {"type": "relay.x", "subject": "s", "time": "t", "data": {}}
    assert "relay.x" in text_of(event)
