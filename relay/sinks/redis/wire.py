"""One connection to one Redis, and the names of its failures. Which node it leads to: ``topology.py``.

Why relay has a wire of its own over redis-py's connections: redis-py's client repeats commands by itself when a
connection is lost (ten times since 8.0), and hides that a batch may have been written. Here nothing is repeated:
``tests/integration/test_redis_sink.py`` loses replies, resets and pauses connections, and finds each event once.
A backlog drains with 17 to 18 us of CPU per event (``make bench-drain``).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, InvalidResponse, RedisError, ResponseError
from redis.exceptions import ConnectionError as LinkError
from redis.exceptions import TimeoutError as LinkTimeout

from relay.core.network import refuses_our_certificate, speaks_no_tls, why
from relay.core.sink import SinkUnavailable
from relay.sinks.redis.config import RIGHTS, Endpoints, Node

_RESET = struct.pack("ii", 1, 0)
CLOSE_TIMEOUT = 1.0
"""Seconds that an orderly close may take before the socket is dropped."""


_DENIALS = ("user executing the script can't", "ACL failure in script", "unknown command", "Unknown Redis command")
"""How a script hears of a right that is missing, by Redis up to 7.0 and from 7.2 on, and of a command renamed away."""

_PLACE = re.compile(r" script: [0-9a-f]{40}.*", re.DOTALL)
"""Where in a script something failed, which is the relay's business only."""

_FAILURES: dict[str, tuple[str, str]] = {
    "OOM": ("out_of_memory", "Let consumers trim the streams or raise maxmemory; relay resumes by itself."),
    "READONLY": ("read_only", "The address leads to a replica: point the url at the primary, or use sentinels."),
    "LOADING": ("loading", "Redis is still loading its data; relay resumes by itself."),
    "BUSY": ("busy", "Another script blocks Redis (SCRIPT KILL ends one that has not written)."),
    "CLUSTERDOWN": ("cluster_down", "A slot of the cluster has no primary: see CLUSTER INFO."),
    "MASTERDOWN": ("cluster_down", "The replica has lost its primary."),
    "TRYAGAIN": ("moved", "The slot is being moved; relay resumes by itself."),
    "ASK": ("moved", "The slot is being moved; relay resumes by itself."),
    "MOVED": ("moved", "This is a Redis Cluster: set cluster: true (the next attempt then follows the slot)."),
    "NOREPLICAS": ("too_few_replicas", "min-replicas-to-write is not met: see INFO replication."),
    "MISCONF": ("persistence_failed", "Redis cannot write its snapshot or AOF and refuses writes: see its log."),
    "NOAUTH": ("auth_failed", "Set password (and username), or put them into the url."),
    "NOPERM": ("forbidden", RIGHTS),
    "WRONGTYPE": ("wrong_type", "Another application uses this key: choose another prefix."),
}


_PLAIN = "Is it a TLS port? One without TLS needs a redis:// url."
_TLS = "See ssl_ca_certs, ssl_certfile and ssl_check_hostname; TLS needs a rediss:// url."
_OTHER_CERTIFICATE = "Set ssl_certfile and ssl_keyfile to a certificate that Redis trusts and that has not ended."
_STRANGER = "Which service listens there? Name Redis' port in url; a TLS port needs a rediss:// url."
_SLOW = "Is it Redis, and not overloaded? A TLS port needs a rediss:// url, a slow link a higher socket_timeout."


def failure(error: BaseException, node: Node, rights: str = RIGHTS) -> SinkUnavailable:
    """The vendor's exception as ours: bounded code, the node's address, no argument that was sent."""
    text = _PLACE.sub("", str(error).partition(", with args")[0])[:200].rstrip(".")
    if isinstance(error, AuthenticationError):
        return SinkUnavailable("auth_failed", f"Redis {node} refused the credentials.", hint=_FAILURES["NOAUTH"][1])
    if isinstance(error, TimeoutError | LinkTimeout):
        return SinkUnavailable("timeout", f"Redis {node} did not answer in time.", hint=_SLOW)
    if isinstance(error, InvalidResponse):
        return SinkUnavailable("not_redis", f"{node} answers, but not as Redis does.", hint=_STRANGER)
    word = getattr(error, "status_code", None) or text.partition(" ")[0]
    if any(denial in text for denial in _DENIALS):
        word = "NOPERM"
    if word in _FAILURES:
        code, hint = _FAILURES[word]
        hint = rights if code == "forbidden" else hint
        return SinkUnavailable(code, f"Redis {node} refused: {word} {text.removeprefix(word).strip()}.", hint=hint)
    if isinstance(error, ResponseError):
        return SinkUnavailable("rejected", f"Redis {node} refused: {text}.")
    return _no_connection(error if isinstance(error, OSError) else error.__context__ or error.__cause__, node, text)


def _no_connection(cause: BaseException | None, node: Node, text: str) -> SinkUnavailable:
    if isinstance(cause, OSError) and (cause.strerror or isinstance(cause, ssl.SSLError)):
        text = why(cause)
    if isinstance(cause, ssl.SSLError):
        hint = _OTHER_CERTIFICATE if refuses_our_certificate(cause) else _PLAIN if speaks_no_tls(cause) else _TLS
        return SinkUnavailable("tls_failed", f"No TLS connection to Redis {node}: {text}.", hint=hint)
    return SinkUnavailable(
        "unreachable",
        f"No connection to Redis {node}: {text}.",
        hint="Check url, and whether Redis runs there and is reachable from here. A TLS port needs a rediss:// url.",
    )


class Wire:
    """One open connection. Commands go one after the other, each bounded by ``timeout`` (seconds).

    The bound is our own, also while one logs in: redis-py bounds what it sends with ``asyncio.wait_for``, which before
    Python 3.12 loses a cancellation that comes as it ends (https://github.com/python/cpython/issues/86296).
    """

    def __init__(self, connection: AbstractConnection, node: Node, timeout: float, rights: str = RIGHTS) -> None:
        self._connection = connection
        self._timeout = timeout
        # redis-py forgets its writer on an error, and closing it would wait to flush to a peer that is gone.
        self._transport: asyncio.WriteTransport = connection._writer.transport  # type: ignore[union-attr]
        self.node = node
        self._rights = rights

    async def ask(self, *args: str | bytes | int, within: float = 0.0) -> Any:
        """Send a command, return Redis' answer; raises the vendor's exceptions.

        ``within``: the seconds that it may take, where that is more than ``timeout``.
        """
        packed: bytes = hiredis.pack_command(args)  # type: ignore[arg-type]  # its stub says a tuple of one
        if not self._connection.is_connected:
            raise LinkError("the connection is closed")
        async with asyncio.timeout(max(self._timeout, within)):
            await self._connection.send_packed_command(packed, check_health=False)
            return await self._connection.read_response()

    async def call(self, *args: str | bytes | int) -> Any:
        """Like ``ask``; raises ``SinkUnavailable``."""
        try:
            return await self.ask(*args)
        except (RedisError, OSError) as error:
            raise failure(error, self.node, self._rights) from None

    def abort(self) -> None:
        """Drop the connection at once with a reset, so that unsent bytes go, those in the kernel included."""
        connected = self._transport.get_extra_info("socket")  # a TLS transport that is closed has none
        with contextlib.suppress(OSError, ValueError):  # it is closed already
            if connected is not None:
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
        self._connection._close()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close in an orderly way, within ``CLOSE_TIMEOUT``; raises nothing."""
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._connection.disconnect()
        self.abort()


async def dial(node: Node, endpoints: Endpoints, options: Mapping[str, Any]) -> Wire:
    """Connect and log in to one node; raises ``SinkUnavailable``."""
    connection = _connection(node, endpoints, options)
    try:
        async with asyncio.timeout(endpoints.connect_timeout + endpoints.timeout):
            await connection.connect_check_health(check_health=False, retry_socket_connect=False)
    except BaseException as error:
        connection._close()  # type: ignore[no-untyped-call]
        if isinstance(error, TimeoutError | LinkTimeout) and endpoints.tls is not None:
            raise slow_handshake(node) from None
        if isinstance(error, RedisError | OSError):
            raise failure(error, node, endpoints.rights) from None
        raise
    return Wire(connection, node, endpoints.timeout, endpoints.rights)


def slow_handshake(node: Node) -> SinkUnavailable:
    """A Redis without TLS waits for more of what it takes for a command."""
    return SinkUnavailable("tls_failed", f"Redis {node} did not complete the TLS handshake in time.", hint=_PLAIN)


def _connection(node: Node, endpoints: Endpoints, options: Mapping[str, Any]) -> AbstractConnection:
    arguments: dict[str, Any] = {
        "socket_connect_timeout": endpoints.connect_timeout,
        "socket_timeout": None,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        **options,
    }
    if not node.port:
        return UnixDomainSocketConnection(path=node.host, **arguments)
    if endpoints.tls is not None:
        connection = SSLConnection(host=node.host, port=node.port, **endpoints.tls, **arguments)
        _context_of(connection)  # redis-py would say of a file that is wrong that there is no connection
        return connection
    return Connection(host=node.host, port=node.port, **arguments)


def tls_context(endpoints: Endpoints) -> ssl.SSLContext:
    """With the certificates as they are now. Raises ``SinkUnavailable`` where they cannot be used."""
    return _context_of(SSLConnection(**endpoints.tls or {}))


def _context_of(connection: SSLConnection) -> ssl.SSLContext:
    try:
        return connection.ssl_context.get()
    except (OSError, ValueError) as error:
        files = ", ".join(filter(None, (connection.ca_certs, connection.certfile, connection.keyfile)))
        message = f"The TLS files for Redis cannot be used: {files}: {why(error)}."
        hint = "Check ssl_ca_certs, ssl_certfile and ssl_keyfile: PEM files, readable by the relay."
        raise SinkUnavailable("tls_files", message, hint=hint) from error
