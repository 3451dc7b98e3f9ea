"""The way to a Kafka step by step, for ``relay check --connect`` and ``relay doctor``: where it ends, and why."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from aiokafka import TopicPartition

from relay.core.sink import Step
from relay.core.tls import described_tls
from relay.sinks.kafka.client import Session, answered
from relay.sinks.kafka.config import Config
from relay.sinks.kafka.errors import no_connection, unavailable
from relay.sinks.kafka.handshake import greet, servers
from relay.sinks.kafka.logins import connection_options, options_of

T = TypeVar("T")
_WITHIN = 10.0
"""Seconds for each step up to the login; aiokafka's own limits are meant for a broker that may come back."""


class Way:
    """Each step answers what it found, or raises ``SinkUnavailable``."""

    def __init__(self, config: Config, client_id: str) -> None:
        self._config = config
        self._client_id = client_id

    def steps(self) -> Sequence[Step]:
        """Up to the login; what comes after it needs the sink itself."""
        secured = self._config.security_protocol
        steps: list[Step] = [("resolve", self._resolve), ("connect", self._connect)]
        if secured in ("SSL", "SASL_SSL"):
            steps.append(("tls", self._tls))
        if secured != "PLAINTEXT":
            steps.append(("authenticate", self._authenticate))
        return [(name, _bounded(name, step)) for name, step in steps]

    async def _resolve(self) -> str:
        connection_options(self._config, self._client_id)  # what is wrong here shows before anybody is asked
        found = []
        for host, port in servers({"bootstrap_servers": self._config.bootstrap_servers}):
            try:
                lookup = asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
                addresses = sorted({str(entry[4][0]) for entry in await lookup})
            except OSError as error:
                raise no_connection(f"{host}:{port}", error) from error
            found.append(f"{host} is {', '.join(addresses)}")
        return "; ".join(found)

    async def _connect(self) -> str:
        return await self._first(self._connected)

    async def _tls(self) -> str:
        return await self._first(self._greeted)

    async def _first(self, reach: Callable[[str, int], Awaitable[str]]) -> str:
        """What the first bootstrap server answers that can be reached."""
        failure: OSError = TimeoutError()
        for host, port in servers({"bootstrap_servers": self._config.bootstrap_servers}):
            try:
                return await reach(host, port)
            except OSError as error:
                failure, where = error, f"{host}:{port}"
        raise no_connection(where, failure) from failure

    async def _connected(self, host: str, port: int) -> str:
        _, writer = await asyncio.open_connection(host.strip("[]"), port)
        writer.transport.abort()
        return f"{host}:{port} takes connections"

    async def _greeted(self, host: str, port: int) -> str:
        context = connection_options(self._config, self._client_id)["ssl_context"]
        _, writer = await asyncio.open_connection(host.strip("[]"), port, ssl=context)
        try:
            return described_tls(writer.get_extra_info("ssl_object"), time.time(), "the broker")
        finally:
            writer.transport.abort()

    async def _authenticate(self) -> str:
        options, lifetime = await options_of(self._config, self._client_id)
        greeting = await answered(greet(options), options)
        provider = options.get("sasl_oauth_token_provider")
        which = f", with the token ({provider.description})" if provider is not None else ""
        ends = [seconds for seconds in (lifetime, greeting.session_lifetime) if seconds is not None]
        renewed = f", for {min(ends):.0f} s, and renewed before" if ends else ""
        mechanism = "TLS" if self._config.security_protocol == "SSL" else self._config.sasl_mechanism
        return f"let in by {mechanism}{which}{renewed}"


def _bounded(name: str, step: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[str]]:
    async def run() -> str:
        try:
            async with asyncio.timeout(_WITHIN):
                return await step()
        except Exception as error:
            raise unavailable(error, name) from error

    return run


async def may_write(session: Session, names: Mapping[str, str], timeout: float) -> str:
    """Whether a transaction may write to all topics: it takes their partitions in, and is given up without a record.

    Raises what aiokafka raises.
    """
    producer = session.producer
    async with asyncio.timeout(timeout):
        await producer.begin_transaction()
        for name in names.values():
            producer._txn_manager.maybe_add_partition_to_txn(TopicPartition(name, 0))
        ended = producer._txn_manager.wait_for_transaction_end()
        while producer._txn_manager.partitions_to_add():
            await asyncio.wait((ended,), timeout=0.02)
            if ended.done():
                await ended
        await producer.abort_transaction()
    return f"may write to {', '.join(names.values())}"
