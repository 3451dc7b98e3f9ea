"""What the nodes of a Redis say about who may write; asking them needs servers (tests/integration)."""

from __future__ import annotations

from relay.sinks._redis_topology import _cluster_nodes
from relay.sinks._redis_wire import Node


def test_unknown_endpoints_mean_the_host_that_was_asked() -> None:
    """Else a cluster that does not announce its addresses could not be followed."""
    slots = [[0, 1, [b"", 1, b"id"], [None, 2, b"id"]], [2, 3, [b"?", 3, b"id"], [b"other", 4, b"id"]]]
    assert _cluster_nodes(slots, "asked") == (Node("asked", 1), Node("asked", 2), Node("asked", 3), Node("other", 4))
