"""The Redis sink; most of what it does needs a server (tests/integration, tests/contract)."""

from __future__ import annotations

from typing import Any

import pytest

from relay.core.event import Entry, Event
from relay.core.sink import Batch, Checkpoint, Identity, Inheritance, Limits, Name, Refused, SinkUnavailable, Withheld
from relay.sinks.redis import Config, connect
from relay.sinks.redis.config import Node
from relay.sinks.redis.sink import RedisSink


def config(**keys: Any) -> Config:
    return Config.model_validate({"type": "redis", **keys})


def test_defaults_are_those_of_the_contract() -> None:
    """Else ``{type: redis}`` would not mean what the documentation says."""
    made = config()
    assert made.url.get_secret_value() == "redis://localhost:6379/0"
    assert (made.prefix, made.label, made.retention, made.wait_replicas) == ("{relay}:", "redis", None, 0)
    assert made.endpoints().nodes == (Node("localhost", 6379),)
    assert connect(made, Identity("relay-0", "a")).limits == Limits(200, 1024 * 1024, 5.0)


def sized(offset: int, size: int) -> Entry:
    return Entry(offset, 0, Event("tasks", "t", f"id-{offset}", "s", "subject", "2026-01-01T00:00:00Z", bytes(size)))


async def test_an_event_of_exactly_the_largest_size_is_taken() -> None:
    """Else an event that Redis would take became a dead letter."""
    sink = connect(config(max_event_bytes=8), Identity("relay-0", "a"))
    largest, larger = sized(1, 8), sized(2, 9)
    refused, withheld = reversed(await sink.publish(Batch([largest, larger], Checkpoint("journal", 2))))
    assert (withheld, type(refused)) == (Withheld(), Refused)
    with pytest.raises(SinkUnavailable, match="not open"):
        await sink.publish(Batch([largest], Checkpoint("journal", 1)))


class Informed:
    """Stands for a connection to a Redis that says this of itself, or nothing."""

    node = Node("h", 1)

    def __init__(self, info: bytes | None) -> None:
        self._info = info

    async def call(self, *command: str) -> bytes:
        assert command == ("INFO", "persistence")
        if self._info is None:
            raise SinkUnavailable("forbidden", "That may not be asked.")
        return self._info


@pytest.mark.parametrize(
    ("info", "codes"),
    [
        (b"# Persistence\r\naof_enabled:0\r\n", ["not_persistent"]),
        (b"# Persistence\r\naof_enabled:1\r\n", []),
        (b"", []),
        (None, []),
    ],
)
async def test_a_redis_that_forgets_at_a_restart_is_reported(info: bytes | None, codes: list[str]) -> None:
    """Else an operator would learn of it from the events that consumers get twice."""
    sink = connect(config(), Identity("relay-0", "a"))
    assert isinstance(sink, RedisSink)
    with pytest.raises(SinkUnavailable, match="not open"):
        await sink.advice()
    sink._wire = Informed(info)  # type: ignore[assignment]
    assert [advice.code for advice in await sink.advice()] == codes


@pytest.mark.parametrize(
    ("held", "taken"),
    [(Checkpoint("journal", 3), Checkpoint("journal", 3)), (Checkpoint("another", 3), None), (None, None)],
)
async def test_a_sink_that_got_another_name_has_its_place_already(
    held: Checkpoint | None, taken: Checkpoint | None
) -> None:
    """Else who renames a Redis sink would have its journal published again, or the place of another one taken over."""
    sink = connect(config(name="renamed"), Identity("relay-0", "a"))
    assert isinstance(sink, RedisSink)
    sink._wire, sink._held = Informed(b""), held  # type: ignore[assignment]
    assert await sink.take_over(Name("relay-0", "redis"), Inheritance("journal", 5, "journal")) == taken
