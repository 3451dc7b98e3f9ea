"""The way to a Redis step by step, for ``relay check --connect`` and ``relay doctor``: where it ends, and why."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from redis.exceptions import RedisError, ResponseError

from relay.core.sink import SinkUnavailable, Step
from relay.core.tls import described_tls
from relay.sinks.redis.config import Endpoints, Node
from relay.sinks.redis.topology import Locator, Sentinels
from relay.sinks.redis.wire import dial, failure, slow_handshake, tls_context

_PING = b"*1\r\n$4\r\nPING\r\n"
"""Any answer will do, and Redis has one before the login, too."""


class Way:
    """Each step answers what it found, or raises ``SinkUnavailable``, within the time-outs of each server it asks."""

    def __init__(self, endpoints: Endpoints, key: str) -> None:
        self._endpoints = endpoints
        self._key = key
        self._nodes = endpoints.nodes

    def steps(self) -> Sequence[Step]:
        """Up to the login at the node that has ``key``; what comes after it needs the sink itself."""
        endpoints = self._endpoints
        steps: list[Step] = []
        if self._nodes[0].port:
            steps.append(("resolve", self._resolve))
        if endpoints.sentinels:
            steps.append(("sentinels", self._ask_sentinels))
        steps.append(("connect", self._connect))
        if endpoints.tls is not None:
            steps.append(("tls", self._tls))
        steps.append(("authenticate", self._authenticate))
        if endpoints.cluster:
            steps.append(("cluster", self._follow))
        return steps

    async def _resolve(self) -> str:
        if self._endpoints.tls is not None:
            tls_context(self._endpoints)  # what is wrong here shows before anybody is asked
        return "; ".join([await self._addresses(node) for node in self._endpoints.sentinels or self._nodes])

    async def _addresses(self, node: Node) -> str:
        lookup = asyncio.get_running_loop().getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(self._endpoints.connect_timeout):
                found = sorted({str(entry[4][0]) for entry in await lookup})
        except OSError as error:
            raise failure(error, node) from error
        return f"{node.host} is {', '.join(found)}"

    async def _ask_sentinels(self) -> str:
        sentinels = Sentinels(self._endpoints)
        primary = await sentinels.primary()
        self._nodes = (primary,)
        heard = await sentinels.heard()
        return f"{self._endpoints.service_name} is {primary}. " + " ".join(sorted(heard))

    async def _connect(self) -> str:
        return await self._first(self._connected)

    async def _tls(self) -> str:
        return await self._first(self._greeted)

    async def _authenticate(self) -> str:
        return await self._first(self._let_in)

    async def _follow(self) -> str:
        wire = await Locator(self._endpoints, self._key).connect()
        await wire.close()
        return f"{wire.node} has the slot of {self._key}"

    async def _first(self, reach: Callable[[Node], Awaitable[str]]) -> str:
        """What the first node answers that can be reached, behind what the ones before it lack."""
        failures: list[SinkUnavailable] = []
        for node in self._nodes:
            try:
                return " ".join([*(error.message for error in failures), await reach(node)])
            except SinkUnavailable as error:
                failures.append(error)
            except OSError as error:
                failures.append(failure(error, node))
        raise failures[0]

    async def _connected(self, node: Node) -> str:
        async with asyncio.timeout(self._endpoints.connect_timeout):
            opening = asyncio.open_connection(*node) if node.port else asyncio.open_unix_connection(node.host)
            _, writer = await opening
        writer.transport.abort()
        return f"{node} takes connections"

    async def _greeted(self, node: Node) -> str:
        try:
            async with asyncio.timeout(self._endpoints.connect_timeout + self._endpoints.timeout):
                return await _greeted(node, tls_context(self._endpoints))
        except TimeoutError:
            raise slow_handshake(node) from None

    async def _let_in(self, node: Node) -> str:
        """Chooses no database, for which a right may be missing: that comes later."""
        options = {key: value for key, value in self._endpoints.options.items() if key != "db"}
        wire = await dial(node, replace(self._endpoints, options=options), options)
        try:
            await wire.ask("TYPE", self._key)
        except ResponseError:
            pass  # it knows the user: a missing login would have been answered first
        except (RedisError, OSError) as error:
            raise failure(error, node) from error
        finally:
            wire.abort()
        without = "" if options.get("password") else ", without a password"
        return f"let in as {options.get('username', 'default')}{without}"


async def _greeted(node: Node, context: ssl.SSLContext) -> str:
    reader, writer = await asyncio.open_connection(*node, ssl=context)
    try:
        # TLS 1.3: relay's own certificate is looked at when the handshake is over for relay.
        writer.write(_PING)
        answered = b""
        with suppress(ConnectionError):
            answered = await reader.read(1)
        if not answered:  # what it said of the certificate may be lost with the connection
            raise ssl.SSLError(0, "it closed the connection after the TLS handshake")
        return described_tls(writer.get_extra_info("ssl_object"), time.time(), str(node))
    finally:
        writer.transport.abort()
