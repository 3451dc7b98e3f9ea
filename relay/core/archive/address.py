"""Which addresses the archive may connect to. Links come from outside: they must not lead into the operator's network.

The check is made on the address of each connection, not on names, so that a name which resolves to something else the
second time does not get past it (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from relay.core.network import authority

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last four bytes are an IPv4 address, to which a gateway passes packets on."""
_CLOSED: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # IETF's own; a cloud has its metadata there
            "240.0.0.0/4",
            "::/96",  # IPv4 in IPv6, as it was written once
            "64:ff9b:1::/48",  # NAT64 within a network
            "2001::/23",  # IETF's own, Teredo among them
            "2002::/16",  # 6to4, which nobody routes any more
            "fec0::/10",
        ),
    )
)
"""What ``is_global`` takes for public in some releases of Python."""
_PORTS: Final = {"http": 80, "https": 443}


def is_public(address: str) -> bool:
    """Whether an address, as ``getaddrinfo`` gives it, is one of the internet's. Anything else is not."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return _is_public(found) and all(map(_is_public, _embedded(found)))


def _is_public(address: _Address) -> bool:
    # is_global is true for multicast, of which no server answers.
    if address in _NAT64:
        return True
    return address.is_global and not address.is_multicast and not any(address in each for each in _CLOSED)


def _embedded(address: _Address) -> Iterable[_Address]:
    """The IPv4 addresses that packets to an IPv6 address may end at."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts links may lead to.

    ``names``: ``out.example``, or ``*.example`` for all below it; none: all of them. ``origins``: like
    ``http://simulator:8300``, whatever their address is and without TLS, since somebody has named just them.
    """

    names: tuple[str, ...] = ()
    origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, allowed: Iterable[str]) -> Hosts:
        """From ``archive.allow_hosts``. Raises ``ValueError`` that says which entry is wrong."""
        names, origins = [], set()
        for entry in allowed:
            if "://" in entry:
                origins.add(_origin_of(entry))
            else:
                names.append(_name_of(entry))
        return cls(tuple(names), frozenset(origins))

    def name(self, host: str) -> bool:
        """Whether a public host may be read."""
        host = host.lower().rstrip(".")
        if not self.names:
            return not self.origins
        return any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in self.names)

    def trusts(self, scheme: str, host: str, port: int) -> bool:
        """Whether this very origin is named, so that neither its address nor its scheme matters."""
        return f"{scheme}://{authority(host.lower(), port)}" in self.origins


def _origin_of(entry: str) -> str:
    parts = urlsplit(entry)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or parts.path.strip("/"):
        raise ValueError(f"{entry!r} is not an origin like https://files.internal:9000")
    return f"{parts.scheme}://{authority(parts.hostname, parts.port or _PORTS[parts.scheme])}"


def _name_of(entry: str) -> str:
    name = entry.lower().rstrip(".")
    if not name.removeprefix("*.") or set(name.removeprefix("*.")) & set("*/:@? "):
        raise ValueError(f"{entry!r} is not a name like out.example or *.example")
    return name
