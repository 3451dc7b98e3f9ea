"""The timeline of a task or chat as lines. The documents are those that the contract's examples make."""

from __future__ import annotations

from typing import Any

import orjson

from relay.cli.moments import moments
from relay.contract import examples


def entry(offset: int, kind: str, **changed: Any) -> dict[str, Any]:
    """An event as a timeline has it."""
    event = examples.events()[kind]
    return {"offset": offset, "event": {**dict(event.attributes()), "data": orjson.loads(event.data)} | changed}


def timeline(*events: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"events": list(events), "publications": [], "duplicates": [], "dead_letters": []} | parts


def test_a_task_has_the_upstreams_times_between_its_own() -> None:
    """Nobody could see whether the upstream was slow, or its webhook."""
    found = moments(timeline(entry(1, "relay.task.submitted"), entry(2, "relay.task.succeeded")))
    assert [moment.title for moment in found] == [
        "upstream began",
        "upstream finished",
        "relay.task.submitted",
        "relay.task.succeeded",
    ]
    assert found[-1].text == "via webhook, offset 2"
    assert found[-1].style == "green"


def test_chunks_in_a_row_are_one_moment() -> None:
    """A chat of a thousand chunks would be a thousand lines."""
    later = entry(4, "relay.chat.chunk", time="2023-11-14T22:13:25.950Z")
    chat = (entry(2, "relay.chat.started"), entry(3, "relay.chat.chunk"), later, entry(5, "relay.chat.completed"))
    found = moments(timeline(*chat))
    assert [moment.title for moment in found].count("chunks") == 1
    (chunks,) = (moment for moment in found if moment.title == "chunks")
    assert chunks.text == "4 chunks in 2 events, within 1.5s"


def test_a_chat_ends_when_it_did() -> None:
    """The end would stand at the time of its start."""
    (end,) = moments(timeline(entry(5, "relay.chat.completed")))
    assert end.at == "2023-11-14T22:13:24.450Z"


def publication(offset: int, state: str, at: str | None) -> dict[str, Any]:
    return {"sink": "kafka", "offset": offset, "state": state, "published_at": at}


def test_what_a_sink_got_at_one_time_is_one_moment_and_what_waits_comes_last() -> None:
    """A chat would have a line for each of its events on each sink, or an event that waits look published."""
    at = "2023-11-14T22:13:24.500Z"
    given = [publication(1, "published", at), publication(2, "published", at), publication(3, "pending", None)]
    chat = (entry(1, "relay.chat.started"), entry(2, "relay.chat.chunk"), entry(3, "relay.chat.completed"))
    *_, published, waiting = moments(timeline(*chat, publications=given))
    assert (published.title, published.text) == ("published on kafka", "relay.chat.started, relay.chat.chunk")
    assert (waiting.at, waiting.title, waiting.text) == (None, "waits for kafka", "relay.chat.completed")


def test_what_was_absorbed_and_what_is_dead_is_there() -> None:
    """Somebody who waits for an event would not see why there is none."""
    duplicate = {
        "offset": 1,
        "count": 3,
        "first_at": "2023-11-14T22:14:00.000Z",
        "observed_via": {"webhook": 2, "poll": 1},
    }
    letter = {"id": "dead-1", "reason": "too_large", "accepted_at": "2023-11-14T22:13:00.000Z"}
    dead, absorbed = moments(timeline(duplicates=[duplicate], dead_letters=[letter]))
    assert (dead.title, dead.text) == ("dead letter", "too_large, dead-1")
    assert (absorbed.title, absorbed.text) == ("3 duplicates absorbed", "2 via webhook, 1 via poll")
