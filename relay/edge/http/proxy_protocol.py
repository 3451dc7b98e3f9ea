"""The header with which a proxy says for whom it connects: the PROXY protocol, version 2. Pure.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED: Final = 16
"""Bytes of every header; the last two say how many follow."""
MAX_REST: Final = 4096
"""Bytes after those; addresses take 36 at most, and what proxies add to them a few hundred."""

_LOCAL, _PROXIED = 0x20, 0x21
OWN_NAME: Final = SIGNATURE + bytes((_LOCAL, 0, 0, 0))
"""The header of a proxy that asks in its own name."""

_UNKNOWN, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_SIZES: Final = {_TCP4: 4, _TCP6: 16}


class NotAccepted(ValueError):
    """What came is no header of version 2. The text quotes nothing of it."""


def length_of_rest(fixed: bytes) -> int:
    """How many bytes follow the first 16. Raises ``NotAccepted``."""
    if not fixed.startswith(SIGNATURE):
        raise NotAccepted("version 1" if fixed.startswith(b"PROXY ") else "no header")
    if fixed[12] not in (_LOCAL, _PROXIED):
        raise NotAccepted("an unknown version or command")
    length = int.from_bytes(fixed[14:16], "big")
    if length > MAX_REST:
        raise NotAccepted("a header that is too long")
    return length


def client_of(fixed: bytes, rest: bytes) -> tuple[str, int] | None:
    """The client's address and port; ``None``: the proxy speaks for itself. Raises ``NotAccepted``."""
    family = fixed[13]
    if fixed[12] == _LOCAL or family == _UNKNOWN:
        return None
    size = _SIZES.get(family)
    if size is None or len(rest) < 2 * size + 4:
        raise NotAccepted("an address that is not one of TCP")
    return str(ip_address(rest[:size])), int.from_bytes(rest[2 * size : 2 * size + 2], "big")
