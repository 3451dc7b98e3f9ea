"""Systemd's side of a daemon: ``sd_notify``, and listeners that systemd has opened (``sd_listen_fds``).

https://www.freedesktop.org/software/systemd/man/sd_notify.html and sd_listen_fds.html.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

from relay.core.errors import RelayError

_FIRST: Final = 3
_HINT: Final = "Give each socket unit of relay.service one ListenStream= and FileDescriptorName=main or admin."


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


def inherited(names: frozenset[str], environ: MutableMapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """The sockets that systemd has opened for this process, by name; none where it has not. Can be asked once.

    ``names`` are those that are understood. Raises ``RelayError`` where systemd gives something else, or the same
    twice.
    """
    pid, count, given = (environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if not count or pid != str(os.getpid()):
        return {}  # meant for another process, from which this one has the environment
    labels = given.split(":")
    if count != str(len(labels)) or len(set(labels)) != len(labels) or not names.issuperset(labels):
        raise _wrong(
            f"systemd passes {count} sockets, named {given or 'nothing'}; relay takes main and admin, one each"
        )
    return {label: _listening(label, _FIRST + n) for n, label in enumerate(labels)}


def _listening(label: str, number: int) -> socket.socket:
    try:
        found = socket.socket(fileno=number)
        families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
        is_stream = found.family in families and found.type == socket.SOCK_STREAM
        if is_stream and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            found.set_inheritable(False)
            return found
    except OSError as error:
        raise _wrong(f"The descriptor {number} ({label}) is no socket: {error.strerror}") from error
    raise _wrong(f"The descriptor {number} ({label}) is no stream socket that listens")


def _wrong(message: str) -> RelayError:
    return RelayError("socket_activation", f"{message}.", hint=_HINT)
