"""``sd_notify``: reports to systemd how far the process is (https://www.freedesktop.org/software/systemd/man/sd_notify.html)."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Sends ``READY=1`` or the like to ``NOTIFY_SOCKET``; ``False`` when there is none, or nobody listens.

    An address that starts with ``@`` is in Linux' abstract namespace.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as datagram:
            datagram.setblocking(False)
            datagram.sendto(state.encode(), address)
    except OSError:
        return False
    return True
