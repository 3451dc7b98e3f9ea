"""What a shell is offered."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relay.cli import completion
from relay.contract import schemas
from relay.core.event import TOPICS
from relay.edge.api import chats, task_list


def offered(source: Any, incomplete: str = "", **typed: Any) -> list[str]:
    return [value for value, _ in source(SimpleNamespace(params=typed), incomplete)]


def test_words_are_those_that_the_options_take() -> None:
    """Completion would offer a word that is then refused."""
    assert offered(completion.topics) == list(TOPICS)
    assert offered(completion.topics, "ch") == ["chat", "chat-chunks"]
    assert "relay.chat.cancelled" in offered(completion.event_types)
    assert offered(completion.task_states) == list(completion.TASK_STATES)
    assert offered(completion.chat_states) == list(completion.CHAT_STATES)
    assert offered(completion.task_sorts) == list(completion.TASK_SORTS)
    assert offered(completion.chat_sorts) == list(completion.CHAT_SORTS)
    assert offered(completion.schema_names) == list(schemas())


def test_states_and_orders_are_those_of_the_route() -> None:
    """A state that the relay knows could not be found on the command line."""
    assert set(completion.TASK_STATES) == set(task_list.SELECTIONS)
    assert completion.CHAT_STATES == chats.CHAT_STATES
    assert task_list.TASK_SORTS == completion.TASK_SORTS
    assert tuple(chats.CHAT_SORTS) == completion.CHAT_SORTS


def test_the_labels_are_those_of_the_named_configuration(tmp_path: Path) -> None:
    """The sinks of another relay would be offered."""
    config = tmp_path / "relay.yaml"
    config.write_text("sinks: [{type: redis, name: events}, {type: kafka}]")
    assert offered(completion.sink_labels, config=config) == ["events", "kafka"]


@pytest.mark.parametrize("source", [completion.sink_labels, completion.dead_letters, completion.subjects])
def test_what_cannot_be_known_is_not_offered(source: Any, tmp_path: Path) -> None:
    """A wrong configuration, or a relay that is stopped, would write a message into a line that is being typed."""
    config = tmp_path / "relay.yaml"
    config.write_text("server: {prot: 1}")
    assert offered(source, config=config) == []
    assert offered(source, config=tmp_path / "none.yaml", url="http://127.0.0.1:9") == []
