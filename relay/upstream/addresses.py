"""Which of a host's addresses to try first: those that answered, before those that recently did not.

Addresses are raced (RFC 8305), so that a dead one costs a quarter of a second and not the whole ``connect_timeout``;
what is remembered here spares most connections even that. Pure but for its memory; times are seconds of one clock.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final

from aiohappyeyeballs import AddrInfoType, start_connection

DELAY: Final = 0.25
"""Seconds after which the next address is tried beside the one before (RFC 8305, 5)."""

FORGOTTEN_AFTER: Final = 60.0
"""Seconds for which an address that was late, or refused, comes last."""


class Addresses:
    """What is known of the addresses of one host."""

    def __init__(self) -> None:
        self._late: dict[Any, float] = {}

    async def connected(self, found: Sequence[AddrInfoType], now: float) -> socket.socket:
        """A socket connected to one of the addresses that were found. Raises ``OSError`` where none answers."""
        ordered = self.ordered(found, now)
        connection = await start_connection(ordered, happy_eyeballs_delay=DELAY, interleave=1)
        self.answered(ordered, connection.getpeername(), now)
        return connection

    def ordered(self, found: Sequence[AddrInfoType], now: float) -> list[AddrInfoType]:
        """The addresses in the order in which they are tried: the resolver's, but for those that were late."""
        self._late = {address: until for address, until in self._late.items() if until > now}
        return sorted(found, key=lambda info: info[4] in self._late)

    def answered(self, ordered: Sequence[AddrInfoType], address: Any, now: float) -> None:
        """This address won the race: those that began before it did not answer in time."""
        for info in ordered:
            if info[4] == address:
                break
            self._late[info[4]] = now + FORGOTTEN_AFTER
        self._late.pop(address, None)
