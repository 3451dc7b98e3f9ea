"""The examples are what the relay makes of the deliveries beside them."""

from __future__ import annotations

import orjson

from relay.contract.examples import CHUNKS, SUCCEEDED, events


def test_the_events_show_the_deliveries() -> None:
    """The documents would show an event beside a delivery from which it cannot have come."""
    made = events()
    task = orjson.loads(made["relay.task.succeeded"].data)
    assert task["task_id"] == SUCCEEDED["task"]["task_id"]
    assert [output["url"] for output in task["outputs"]] == [SUCCEEDED["images"][0]["image_url"]]
    assert orjson.loads(made["relay.chat.chunk"].data)["chunks"] == list(CHUNKS)


def test_each_way_for_a_chat_to_end_has_an_example() -> None:
    """A consumer would learn from an example how a failure looks, and it would not be one."""
    ended = {type_: orjson.loads(event.data) for type_, event in events().items() if type_.startswith("relay.chat.")}
    assert ended["relay.chat.completed"]["choices"][0]["finish_reason"] == "stop"
    assert ended["relay.chat.failed"]["reason"] == "truncated"
    assert ended["relay.chat.cancelled"]["reason"] == "client_gone"


def test_they_are_the_same_each_time() -> None:
    """The document of one release would differ from call to call, and tools see changes where none are."""
    assert events() == events()
