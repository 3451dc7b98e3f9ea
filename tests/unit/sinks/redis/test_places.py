"""Checkpoint hashes that are not as they should be; on a real Redis: tests/contract/test_sinks.py."""

from __future__ import annotations

from typing import Any

import pytest

from relay.core.sink import Checkpoint, Inheritance, SinkUnavailable
from relay.sinks.redis import places
from relay.sinks.redis.config import Node

CLAIMED = places.Claimed("own", "instance", "1")


class Wire:
    """Stands for the connection to a Redis whose hashes hold ``fields``; ``changed``: what the script answers."""

    node = Node("h", 1)

    def __init__(self, changed: int = 1, **fields: str) -> None:
        self._changed = changed
        self._fields = fields
        self.aborted = False

    async def call(self, command: str, *arguments: Any) -> Any:
        if command == "HMGET":
            return [self._fields[name].encode() if name in self._fields else None for name in arguments[1:]]
        return self._changed if command == "EVALSHA" else b"sha"

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, None),
        ({"journal_id": "j"}, None),
        ({"offset": "3"}, None),
        ({"journal_id": "j", "offset": "3"}, Checkpoint("j", 3, 0, 0)),
        ({"journal_id": "j", "offset": "3", "dead": "1", "absorbed": "2"}, Checkpoint("j", 3, 1, 2)),
        ({"journal_id": "j", "offset": "3", "handed_over": "3"}, Checkpoint("j", 3, handed_over=True)),
        ({"journal_id": "j", "offset": "3", "handed_over": "2"}, Checkpoint("j", 3)),
    ],
)
async def test_a_checkpoint_is_read_from_what_is_there(fields: dict[str, str], found: Checkpoint | None) -> None:
    """Else a hash that an earlier release wrote, or a claim without a checkpoint, would be taken for something else."""
    wire = Wire(**fields)
    assert await places.glance(wire, "own") == found  # type: ignore[arg-type]
    assert wire.aborted


@pytest.mark.parametrize("strange", [{"offset": "x"}, {"dead": "x"}, {"lineage": "{"}, {"lineage": '{"earlier":[1]}'}])
async def test_a_hash_that_is_no_checkpoint_is_named(strange: dict[str, str]) -> None:
    """Else the relay would end in an error that says nothing, or take it for none and publish everything again."""
    wire = Wire(**{"journal_id": "j", "offset": "3", **strange})
    with pytest.raises(SinkUnavailable) as refused:
        await places.read(wire, "own")  # type: ignore[arg-type]
    assert refused.value.code == "checkpoint_unreadable"


async def test_a_checkpoint_that_was_moved_meanwhile_is_not_overwritten() -> None:
    """Else two relays would believe that they have taken the same place over."""
    moved = Wire(changed=0, journal_id="j", offset="3")
    for change in (
        places.remember(moved, CLAIMED, Checkpoint("k", 1)),  # type: ignore[arg-type]
        places.take_over(moved, CLAIMED, "former", Inheritance("j", 5, "heir")),  # type: ignore[arg-type]
    ):
        with pytest.raises(SinkUnavailable) as refused:
            await change
        assert refused.value.code == "checkpoint_moved"
