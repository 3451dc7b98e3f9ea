"""What `relay show` says. The command runs in tests/integration/test_status_and_show.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from relay.cli.client import Client
from relay.cli.show import facts, timeline_of
from relay.core.errors import RelayError
from tests.unit.cli.test_moments import entry, timeline


def shown(kind: str, *events: dict[str, Any], task: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    return list(facts(timeline(*events, kind=kind, subject="s-1", task=task)))


def test_a_task_is_shown_with_its_times_and_outputs() -> None:
    """Somebody who looks for a picture would have to read the event's JSON."""
    found = dict(shown("task", entry(1, "relay.task.submitted"), entry(2, "relay.task.succeeded")))
    assert (found["task"], found["state"], found["type"]) == ("s-1", "succeeded", "TXT_TO_IMG")
    assert (found["submitted"], found["finished"]) == ("2023-11-14T22:13:20.000Z", "2023-11-14T22:13:24.000Z")
    assert found["duration"] == "4.0s"
    assert found["image"].startswith("https://out.example/1.png?X-Amz")
    assert found["image"].endswith("(until 2023-11-14T23:13:24.000Z)")


def test_a_task_that_has_not_ended_says_what_comes_next() -> None:
    """A task that hangs could not be distinguished from one that is forgotten."""
    task: dict[str, Any] = {
        "state": "running",
        "task_type": "x",
        "submitted_at": "2026-01-31T09:00:00.000Z",
        "known_via": "submit",
    }
    task |= {"polls": 2, "next_poll_at": "2026-01-31T09:01:00.000Z", "trouble": "no_answer"}
    found = dict(shown("task", entry(1, "relay.task.submitted"), task=task))
    assert found["state"] == "running"
    assert (found["polls"], found["next poll"]) == ("2", "2026-01-31T09:01:00.000Z")
    assert found["polling problem"] == "no_answer"
    assert "duration" not in found


def test_the_outputs_are_those_that_came_last() -> None:
    """After a contradiction, the first outputs would be shown as if nothing had happened."""
    first, second = entry(1, "relay.task.succeeded"), entry(2, "relay.task.succeeded")
    second["event"]["data"]["outputs"] = [{"kind": "video", "url": "https://x/2.mp4", "expires_at": None}]
    assert shown("task", first, second)[-1] == ("video", "https://x/2.mp4")


def test_a_chat_is_shown_with_its_text_and_its_cost() -> None:
    """Somebody who asks what a model said would have to read the event's JSON."""
    found = dict(shown("chat", entry(1, "relay.chat.started"), entry(2, "relay.chat.completed")))
    assert (found["state"], found["client"], found["text"]) == ("completed", "billing", "Hello")
    assert found["tokens"] == "16 input, 1 output"
    assert (found["first token"], found["duration"]) == ("100ms", "200ms")


def test_calls_and_reasoning_and_errors_are_shown() -> None:
    """A chat that only calls tools would look empty, a failed one as if it had no reason."""
    end = entry(1, "relay.chat.failed")
    call = {"function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}
    end["event"]["data"]["choices"] = [{"content": None, "reasoning_content": "hm", "tool_calls": [call]}]
    end["event"]["data"]["error"] = {"message": "out of memory"}
    found = dict(shown("chat", end))
    assert (found["reasoning"], found["call"]) == ("hm", 'weather({"city":"Bonn"})')
    assert (found["reason"], found["error"]) == ("truncated", "out of memory")


def test_an_open_chat_and_an_unreadable_delivery_are_shown() -> None:
    """The command would break off at what has no end yet, or is neither."""
    assert dict(shown("chat", entry(1, "relay.chat.started")))["state"] == "open"
    assert shown("delivery", entry(1, "relay.delivery.dead")) == [("delivery", "s-1")]


class Knowing(Client):
    """A client of a relay that knows two tasks and a chat."""

    def timeline(self, subject: str, most: int) -> dict[str, Any]:
        if subject not in ("abcd-1", "abcd-2", "beef-3"):
            raise RelayError("not_found", "Not found.")
        return {"subject": subject}

    def tasks(self, wanted: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        yield {"tasks": [{"task_id": "abcd-1"}, {"task_id": "abcd-2"}]}

    def chats(self, wanted: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        yield {"chats": [{"chat_id": "beef-3"}]}


def test_the_first_characters_of_an_id_are_enough() -> None:
    """Ids of 36 characters would have to be copied whole from another window."""
    client = Knowing("http://127.0.0.1:1")
    assert timeline_of(client, "beef")["subject"] == "beef-3"
    assert timeline_of(client, "abcd-2")["subject"] == "abcd-2"


@pytest.mark.parametrize(
    ("given", "code", "hint"),
    [
        ("abcd", "ambiguous_id", "abcd-1, abcd-2"),
        ("nobody", "unknown_subject", "relay chats"),
        ("bee", "unknown_subject", ""),
    ],
)
def test_what_is_not_clear_is_not_guessed(given: str, code: str, hint: str) -> None:
    """Another task than the one that was meant would be shown."""
    with pytest.raises(RelayError) as error:
        timeline_of(Knowing("http://127.0.0.1:1"), given)
    assert error.value.code == code
    assert hint in error.value.hint
