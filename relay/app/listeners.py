"""The two listeners: the main one, and the admin one with the probes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relay.core.errors import RelayError
from relay.core.network import UNIX
from relay.edge.build import Edge
from relay.edge.http.auth import networks
from relay.edge.http.listener import Listener
from relay.edge.http.server import Limits, Preamble
from relay.settings import Settings
from relay.systemd import inherited
from relay.telemetry.signals.http import HttpSignals

if TYPE_CHECKING:
    from relay.edge.http.tls import Certificate
    from relay.settings.tls import TlsSettings

_ALIKE = ({"0.0.0.0", "::"}, {"127.0.0.1", "::1", "localhost"})  # noqa: S104 - compared, not bound
_ADMIN_LIMITS = Limits(max_connections=800)


class Listeners:
    """Binds what the edge serves to its addresses."""

    def __init__(self, edge: Edge, settings: Settings, signals: HttpSignals) -> None:
        self._edge, self._settings = edge, settings
        server, admin = settings.server, settings.admin
        limits = Limits(server.header_timeout, server.keepalive_timeout, server.max_connections)
        certificates = {
            name: _certificate(tls, name) for name, tls in (("server", server.tls), ("admin", admin.tls)) if tls
        }
        self.certificates: Sequence[Certificate] = tuple(certificates.values())
        proxies = networks(server.trusted_proxies) if server.proxy_protocol else None
        self.main = Listener(
            edge.main,
            host=server.host,
            port=server.port,
            limits=limits,
            signals=signals,
            request_factory=edge.main.request_factory,
            shortcut=edge.main,
            preamble=Preamble(certificates.get("server"), proxies, server.header_timeout),
        )
        self.admin = Listener(
            edge.probes,
            host=admin.host,
            port=admin.port,
            limits=_ADMIN_LIMITS,
            signals=signals,
            request_factory=edge.probes.request_factory,
            preamble=Preamble(certificates.get("admin"), None, _ADMIN_LIMITS.header_timeout),
        )

    async def open(self) -> None:
        """Listens, on systemd's sockets where it passes any. Raises ``RelayError`` where an address cannot be had."""
        given = inherited(frozenset(("main", "admin")))
        for name, address in (("main", self._settings.server), ("admin", self._settings.admin)):
            if name in given:
                _require_address(name, given[name], address.host, address.port)
        await self.main.start(given.get("main"))
        await self.admin.start(given.get("admin"))  # last: who reads "ready" must be able to connect

    def ask_to_close(self, yes: bool) -> None:
        """Whether each answer of the main listener asks its client to close the connection."""
        self.main.server.draining = yes

    async def drain(self, timeout: float, last_call: float) -> None:
        """Lets what is under way end, within ``timeout`` seconds, while the main listener goes on; see ``Listener``."""
        self._edge.drain()
        # Chats get what time there is, and a last bit of it for their clients to read how they ended.
        ending = asyncio.get_running_loop().call_later(timeout - min(2.0, timeout * 0.2), self._edge.end_chats)
        await self.main.drain(timeout, last_call)
        ending.cancel()

    async def close(self, timeout: float) -> None:
        """Ends the main listener, and what was begun behind it, within about ``timeout`` seconds.

        The probes go on until ``admin`` stops.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        await self.main.stop(timeout)
        await self._edge.finish(lambda: deadline - loop.time())


def _certificate(tls: TlsSettings, section: str) -> Certificate:
    from relay.edge.http.tls import Certificate  # which few relays need

    return Certificate(tls, section)


def _require_address(name: str, given: socket.socket, host: str, port: int) -> None:
    """What may come in without a token is decided by the configured address, so that has to be the real one.

    Raises ``RelayError`` where it is another; port 0 is any.
    """
    bound = given.getsockname()
    if given.family == socket.AF_UNIX:
        there, same = f"{UNIX}{bound}", f"{UNIX}{bound}" == host
    else:
        there = f"{bound[0]}:{bound[1]}"
        same = bound[0] == host or any({bound[0], host} <= alike for alike in _ALIKE)
        same = same and port in (0, bound[1])
    if not same:
        configured = host if host.startswith(UNIX) else f"{host}:{port}"
        raise RelayError(
            "socket_activation",
            f"systemd listens on {there} for {name}; the configuration says {configured}.",
            hint="Give ListenStream= and the host and port of server or admin the same address.",
        )
