"""What the nodes of a Redis say about who may write; asking them needs servers (tests/integration)."""

from __future__ import annotations

import asyncio

import pytest

from relay.sinks.redis.topology import Named, Sentinels, _cluster_nodes, newest
from relay.sinks.redis.wire import Endpoints, Node


def test_unknown_endpoints_mean_the_host_that_was_asked() -> None:
    """Else a cluster that does not announce its addresses could not be followed."""
    slots = [[0, 1, [b"", 1, b"id"], [None, 2, b"id"]], [2, 3, [b"?", 3, b"id"], [b"other", 4, b"id"]]]
    assert _cluster_nodes(slots, "asked") == (Node("asked", 1), Node("asked", 2), Node("asked", 3), Node("other", 4))


OLD, NEW = Node("old", 1), Node("new", 1)


def test_of_several_sentinels_the_newest_is_believed() -> None:
    """One that was cut off at a failover would lead the relay back to the server that has been replaced."""
    assert newest([], OLD) is None
    assert newest([Named(OLD, 3), Named(NEW, 4), Named(OLD, 3)], OLD) == Named(NEW, 4)
    assert newest([Named(NEW, 4), Named(OLD, 3)], NEW) == Named(NEW, 4)


def test_two_names_of_one_primary_are_no_failover() -> None:
    """Sentinels of which one announces a host name and one an address would make the relay reconnect for ever."""
    assert newest([Named(NEW, 3), Named(OLD, 3)], OLD) == Named(OLD, 3)


NODES = (Node("quick", 1), Node("slow", 2))


class Sentinel:
    """What stands for the connection to one: ``quick`` names the primary at once, ``slow`` never does."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.closed = False

    async def call(self, *command: str) -> list[bytes]:
        if self.node.host == "slow":
            await asyncio.Event().wait()
        return [b"new", b"1"] if command[1] == "GET-MASTER-ADDR-BY-NAME" else [b"config-epoch", b"3"]

    async def close(self) -> None:
        self.closed = True


async def test_a_sentinel_that_hangs_holds_nobody_up_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the relay could not open its sink while one Sentinel of three is frozen, or would pile up connections."""
    asked: list[Sentinel] = []

    async def dialled(node: Node, *_: object) -> Sentinel:
        asked.append(Sentinel(node))
        return asked[-1]

    monkeypatch.setattr("relay.sinks.redis.topology.dial", dialled)
    before = asyncio.all_tasks()
    sentinels = Sentinels(Endpoints((), 1.0, 1.0, sentinels=NODES, service_name="relay"))
    async with asyncio.timeout(5):
        assert await sentinels.primary() == NEW
    assert asyncio.all_tasks() == before
    assert [sentinel.closed for sentinel in asked] == [True, True]
