"""Opens a tunnel through an egress proxy: ``CONNECT`` (RFC 9110, 9.3.6), then TLS with the upstream inside it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final, cast

from relay.core.network import authority, why
from relay.upstream.connection import Connection
from relay.upstream.egress import EgressProxy
from relay.upstream.errors import EgressRefused, UpstreamUnreachable
from relay.upstream.headers import first
from relay.upstream.trust import trust_advice
from relay.upstream.wire import Head, Malformed, parse_head

MAX_HEAD: Final = 16 << 10
"""Bytes of the head of a proxy's answer."""

_UNAUTHORIZED: Final = (401, 407)
"""RFC 9110, 11.7.1 wants 407; tinyproxy answers wrong credentials with 401."""


async def through(
    proxy: EgressProxy,
    connected: socket.socket,
    target: tuple[str, int],
    connection: Connection,
    *,
    tls: ssl.SSLContext | None,
    proxy_tls: ssl.SSLContext | None,
) -> None:
    """Has the connection to a proxy lead to ``target`` (host and port) from here on, and gives it to ``connection``.

    ``tls``: for the upstream within the tunnel; ``proxy_tls``: for the proxy itself. Bounded in bytes here, in time by
    the caller. Raises ``UpstreamUnreachable`` where the proxy does not open the tunnel, ``OSError`` for what then goes
    wrong with the upstream. No error quotes what the proxy said, or the credentials.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, opening = await loop.create_connection(
            _Opening, sock=connected, ssl=proxy_tls, server_hostname=proxy.host if proxy_tls is not None else None
        )
    except OSError as error:
        raise no_proxy(proxy, why(error), trust_advice(error, proxy.source)) from None
    try:
        transport.write(_connect(proxy, target))
        _require_open(await opening.answer, proxy, target)
        if tls is not None:
            secured = await loop.start_tls(transport, connection, tls, server_hostname=target[0])
            transport = cast("asyncio.Transport", secured)
            if transport is None or transport.is_closing():  # nobody would learn of its end any more
                raise ConnectionAbortedError("the upstream closed the connection after the TLS handshake")
        else:
            transport.set_protocol(connection)
        connection.connection_made(transport)
    except Malformed as error:
        transport.abort()
        raise no_proxy(proxy, str(error)) from None
    except BaseException:
        transport.abort()
        raise


def no_proxy(proxy: EgressProxy, reason: str, advice: str = "") -> UpstreamUnreachable:
    """The proxy itself cannot be used."""
    advice = advice or f"check {proxy.source} and the proxy"
    return UpstreamUnreachable(f"the egress proxy cannot be used: {reason}", advice)


class _Opening(asyncio.Protocol):
    """Takes the head of the proxy's answer; nothing may follow it, since the upstream does not speak first."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._begun = bytearray()

    def data_received(self, data: bytes) -> None:
        """Collects the head, up to its limit."""
        if self.answer.done():
            return
        searched = max(0, len(self._begun) - 3)
        self._begun += data
        stop = self._begun.find(b"\r\n\r\n", searched)
        try:
            if stop >= 0:
                self.answer.set_result(self._head(stop + 4))
            elif len(self._begun) > MAX_HEAD:
                raise Malformed("its answer is too long")
        except Malformed as error:
            self.answer.set_exception(error)

    def _head(self, end: int) -> Head:
        head = parse_head(bytes(self._begun[:end]))
        if end > MAX_HEAD or (head.status < 300 and len(self._begun) > end):
            raise Malformed("its answer is too long")
        return head

    def connection_lost(self, exc: BaseException | None) -> None:
        """An end before the answer is one, too."""
        if not self.answer.done():
            self.answer.set_exception(Malformed("it closed the connection instead of opening a tunnel"))


def _connect(proxy: EgressProxy, target: tuple[str, int]) -> bytes:
    place = authority(*target).encode("ascii")
    lines = [b"CONNECT " + place + b" HTTP/1.1", b"Host: " + place]
    if proxy.authorization is not None:
        lines.append(b"Proxy-Authorization: " + proxy.authorization)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _require_open(head: Head, proxy: EgressProxy, target: tuple[str, int]) -> None:
    status = head.status
    if 200 <= status < 300:
        return
    if status in _UNAUTHORIZED:
        raise _unauthorized(head, proxy)
    place = authority(*target)
    if status == 403:
        raise UpstreamUnreachable(
            f"the egress proxy allows no tunnel to {place} (HTTP 403)",
            f"have the proxy allow CONNECT to {place}",
        )
    raise UpstreamUnreachable(
        f"the egress proxy opened no tunnel to {place} (HTTP {status})",
        "check whether the proxy reaches the upstream: its log says why it did not",
    )


def _unauthorized(head: Head, proxy: EgressProxy) -> EgressRefused:
    wanted = (first(head.headers, b"proxy-authenticate") or b"basic").partition(b" ")[0].lower()
    advice = f"check the user and the password in {proxy.source}"
    if wanted != b"basic":
        reason, advice = "takes no user and password", "have the proxy accept the scheme Basic, the only one relay has"
    elif proxy.authorization is None:
        reason = "wants a user and a password"
    else:
        reason = "refuses relay's user or password"
    return EgressRefused(f"the egress proxy {reason} (HTTP {head.status})", advice)
