"""Which node accepts writes, for each way to set up Redis, and the connection to it.

All keys of the sink share a slot, so a single connection is enough in every topology, and no client that retries
or reroutes behind our back is needed:

- plain: the URL's address.
- Sentinel: all Sentinels are asked at once, and the first that knows the service names the primary
  (https://redis.io/docs/latest/develop/reference/sentinel-clients/). That it really is one shows when the claim,
  which is a write, succeeds. They are asked again every few seconds: a primary that is cut off from them lives on
  after a failover, and takes writes that will be lost.
- Cluster: any node answers a command for a foreign slot with MOVED and the address of the right one
  (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#moved-redirection).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from redis.exceptions import MovedError, RedisError

from relay.core.sink import SinkUnavailable
from relay.sinks.redis.config import Endpoints, Node
from relay.sinks.redis.wire import Wire, dial, failure

MAX_REDIRECTIONS = 5
ASK_EVERY = 2.0
"""Seconds between two questions to the Sentinels whether the primary is still the one that was connected to."""

_SENTINEL_RIGHTS = "The user of the sentinels needs +sentinel|get-master-addr-by-name +sentinel|master."


class Locator:
    """Finds the node that may write ``key`` and connects to it, over and over as the topology changes."""

    def __init__(self, endpoints: Endpoints, key: str) -> None:
        self._endpoints = endpoints
        self._key = key
        self._learned: tuple[Node, ...] = ()
        self._sentinels = Sentinels(endpoints) if endpoints.sentinels else None

    def reconfigure(self, endpoints: Endpoints) -> None:
        """Logs in with other credentials from the next connection on."""
        self._endpoints = endpoints
        if self._sentinels is not None:
            self._sentinels.reconfigure(endpoints)

    async def connect(self) -> Wire:
        """Raises ``SinkUnavailable`` if no candidate can be reached, after a bounded time for each."""
        if self._sentinels is not None:
            return await self._dial(await self._sentinels.primary())
        last: SinkUnavailable | None = None
        for node in dict.fromkeys((*self._endpoints.nodes, *self._learned)):
            try:
                return await (self._follow(node) if self._endpoints.cluster else self._dial(node))
            except SinkUnavailable as error:
                last = last or error
        assert last is not None
        raise last

    async def successor(self, node: Node) -> Node:
        """Returns when the Sentinels name another primary than ``node``; without Sentinels never."""
        while True:
            await asyncio.sleep(ASK_EVERY)
            if self._sentinels is not None and (found := await self._sentinels.successor(node)) is not None:
                return found

    async def _dial(self, node: Node) -> Wire:
        return await dial(node, self._endpoints, self._endpoints.options)

    async def _follow(self, node: Node) -> Wire:
        for _ in range(MAX_REDIRECTIONS):
            wire = await self._dial(node)
            try:
                # The cheapest command that names the key: a node without its slot answers MOVED, and the user
                # needs no further right for it.
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


class Named(NamedTuple):
    """A Sentinel's answer: the primary, and the epoch of the failover that made it one. A higher one is newer."""

    node: Node
    epoch: int


def newest(answers: Sequence[Named], node: Node) -> Named | None:
    """The answer to believe where several Sentinels differ, ``node`` itself if it is among the newest."""
    epoch = max((answer.epoch for answer in answers), default=0)
    found = [answer for answer in answers if answer.epoch == epoch]
    return next((answer for answer in found if answer.node == node), found[0] if found else None)


class Sentinels:
    """What they say of the primary. One that is cut off may know less than was heard before: ``_epoch``."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.reconfigure(endpoints)
        self._epoch = 0

    def reconfigure(self, endpoints: Endpoints) -> None:
        """Asks with other credentials from now on."""
        self._endpoints = replace(endpoints, rights=_SENTINEL_RIGHTS)

    async def primary(self) -> Node:
        """By the first answer that is not older than what was heard before; raises ``SinkUnavailable``."""
        older: list[Named] = []
        tried: list[str] = []
        async with self._asked() as asked:
            for answer in asyncio.as_completed(asked):
                found = await answer
                if isinstance(found, Named) and found.epoch >= self._epoch:
                    return self._believed(found)
                older += [found] if isinstance(found, Named) else []
                tried += [str(found)] if isinstance(found, SinkUnavailable) else []
        if older:
            return self._believed(max(older, key=lambda answer: answer.epoch))
        message = f"No Sentinel named a primary for service {self._endpoints.service_name!r}: {' '.join(tried)}"
        raise SinkUnavailable("no_primary", message, hint="See sentinels and service_name.")

    async def heard(self) -> Sequence[str]:
        """What each of them says, or why it says nothing."""
        async with self._asked() as asked:
            said = zip(self._endpoints.sentinels, await asyncio.gather(*asked), strict=True)
            return [f"{by} names {it.node}." if isinstance(it, Named) else it.message for by, it in said]

    async def successor(self, node: Node) -> Node | None:
        """Who has taken the place of ``node``, by the newest that any of them says. Raises nothing."""
        async with self._asked() as asked:
            answers = [found for found in await asyncio.gather(*asked) if isinstance(found, Named)]
        found = newest(answers, node)
        if found is None or (found.epoch < self._epoch and len(answers) < len(self._endpoints.sentinels)):
            return None
        self._believed(found)
        return found.node if found.node != node else None

    def _believed(self, found: Named) -> Node:
        self._epoch = found.epoch
        return found.node

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[list[asyncio.Task[Named | SinkUnavailable]]]:
        """A question to each of them, ended when the answers that matter are there."""
        asked = [asyncio.create_task(self._ask(sentinel)) for sentinel in self._endpoints.sentinels]
        try:
            yield asked
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _ask(self, sentinel: Node) -> Named | SinkUnavailable:
        """Its answer, or why there is none."""
        service = self._endpoints.service_name
        try:
            wire = await dial(sentinel, self._endpoints, self._endpoints.sentinel_options)
            try:
                address = await wire.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
                epoch = await self._epoch_of(wire) if address else 0
            finally:
                await wire.close()
        except SinkUnavailable as error:
            return error
        if not address:
            return SinkUnavailable("no_primary", f"{sentinel} does not know it.")
        return Named(Node(address[0].decode(), int(address[1])), epoch)

    async def _epoch_of(self, wire: Wire) -> int:
        """Since when the answer holds; 0 where that may not be asked."""
        try:
            answer = await wire.call("SENTINEL", "MASTER", self._endpoints.service_name)
        except SinkUnavailable as error:
            if error.code != "forbidden":
                raise
            return 0
        return int(dict(zip(answer[::2], answer[1::2], strict=True)).get(b"config-epoch", 0))


def _endpoint(host: bytes | str | None, asked: str) -> str:
    """An unknown endpoint ('', '?' or null) means: the host that was asked."""
    name = host.decode() if isinstance(host, bytes) else host
    return name if name and name != "?" else asked


def _cluster_nodes(slots: Any, asked: str) -> tuple[Node, ...]:
    """The nodes in an answer to CLUSTER SLOTS: [first, last, [host, port, ...], ...] for each range."""
    return tuple(dict.fromkeys(Node(_endpoint(node[0], asked), int(node[1])) for entry in slots for node in entry[2:]))
