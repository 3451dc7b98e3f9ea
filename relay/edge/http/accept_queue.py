"""How a listening socket ends without resetting the connections that nobody has accepted yet.

Closing it resets what waits in its queue. Those can be accepted first, but more would come between the last accept and
the close, so the kernel is asked to hear no new ones from then on. Linux only; elsewhere that moment stays.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from contextlib import suppress
from typing import Final

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
_NO_SYN: Final = b"".join(
    struct.pack("HBBI", *step)  # linux/filter.h
    for step in (
        (0x30, 0, 0, 13),  # load the flags of the TCP header
        (0x45, 0, 1, 0x02),  # is SYN among them?
        (0x06, 0, 0, 0),  # then keep nothing of the segment
        (0x06, 0, 0, 1 << 18),  # otherwise all
    )
)


def take_no_more(listening: socket.socket) -> None:
    """Has the kernel drop what asks for a new connection; handshakes under way are completed.

    The peer asks again after a second, and then is refused, or finds the next relay.
    """
    program = ctypes.create_string_buffer(_NO_SYN)
    with suppress(OSError):
        steps = struct.pack("HP", len(_NO_SYN) // 8, ctypes.addressof(program))
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, steps)


def emptied(queue: socket.socket, limit: int) -> list[socket.socket]:
    """The connections that a listening socket holds, at most ``limit``; it is closed."""
    found: list[socket.socket] = []
    with queue, suppress(OSError):  # BlockingIOError: that was all
        queue.setblocking(False)
        while len(found) < limit:
            connection, _ = queue.accept()
            connection.setblocking(False)
            found.append(connection)
    return found
