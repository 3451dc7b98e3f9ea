"""Which node may write, in every way a Redis is set up, and the connection to it.

All keys of the sink share a slot, so a single connection is enough in every topology, and no client that retries
or reroutes behind our back is needed:

- plain: the URL's address.
- Sentinel: the first Sentinel that knows the service names the primary
  (https://redis.io/docs/latest/develop/reference/sentinel-clients/). That it really is one shows when the claim,
  which is a write, succeeds.
- Cluster: any node answers a command for a foreign slot with MOVED and the address of the right one
  (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#moved-redirection).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import MovedError, RedisError

from relay.core.sink import SinkUnavailable
from relay.sinks._redis_wire import Endpoints, Node, Wire, dial, failure

MAX_REDIRECTIONS = 5


class Locator:
    """Finds the node that may write ``key`` and connects to it, over and over as the topology changes."""

    def __init__(self, endpoints: Endpoints, key: str) -> None:
        self._endpoints = endpoints
        self._key = key
        self._learned: tuple[Node, ...] = ()

    async def connect(self) -> Wire:
        """Raises ``SinkUnavailable`` if no candidate can be reached, after a bounded time for each."""
        if self._endpoints.sentinels:
            return await self._dial(await self._ask_sentinels())
        last: SinkUnavailable | None = None
        for node in dict.fromkeys((*self._endpoints.nodes, *self._learned)):
            try:
                return await (self._follow(node) if self._endpoints.cluster else self._dial(node))
            except SinkUnavailable as error:
                last = last or error
        assert last is not None
        raise last

    async def _dial(self, node: Node) -> Wire:
        return await dial(node, self._endpoints, self._endpoints.options)

    async def _follow(self, node: Node) -> Wire:
        for _ in range(MAX_REDIRECTIONS):
            wire = await self._dial(node)
            try:
                await wire.ask("TYPE", self._key)
                self._learned = _cluster_nodes(await wire.ask("CLUSTER", "SLOTS"), node.host)
                return wire
            except MovedError as moved:
                wire.abort()
                node = Node(_endpoint(moved.host, node.host), moved.port)
            except (RedisError, OSError) as error:
                wire.abort()
                raise failure(error, node) from None
            except BaseException:
                wire.abort()
                raise
        raise SinkUnavailable("moved", f"The cluster redirected more than {MAX_REDIRECTIONS} times for {self._key}.")

    async def _ask_sentinels(self) -> Node:
        """The primary's address from the first Sentinel that knows the service."""
        tried = []
        for sentinel in self._endpoints.sentinels:
            try:
                found = await self._ask_sentinel(sentinel)
            except SinkUnavailable as error:
                tried.append(str(error))
                continue
            if found is not None:
                return Node(found[0].decode(), int(found[1]))
            tried.append(f"{sentinel} does not know it.")
        message = f"No Sentinel named a primary for service {self._endpoints.service_name!r}: {' '.join(tried)}"
        raise SinkUnavailable("no_primary", message, hint="See sentinels and service_name.")

    async def _ask_sentinel(self, sentinel: Node) -> Sequence[bytes] | None:
        wire = await dial(sentinel, self._endpoints, self._endpoints.sentinel_options)
        try:
            answer: Sequence[bytes] | None = await wire.call(
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._endpoints.service_name
            )
            return answer
        finally:
            await wire.close()


def _endpoint(host: bytes | str | None, asked: str) -> str:
    """An unknown endpoint ('', '?' or null) means: the host that was asked."""
    name = host.decode() if isinstance(host, bytes) else host
    return name if name and name != "?" else asked


def _cluster_nodes(slots: Any, asked: str) -> tuple[Node, ...]:
    """The nodes in an answer to CLUSTER SLOTS: [first, last, [host, port, ...], ...] for each range."""
    return tuple(dict.fromkeys(Node(_endpoint(node[0], asked), int(node[1])) for entry in slots for node in entry[2:]))
