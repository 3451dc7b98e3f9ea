"""A listener's unix socket: its file, who may connect to it, and what an earlier process left of it."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

_MODE: Final = 0o660
"""The owner and the group may connect; a group of the folder's own (setgid) lets a proxy of another user in."""


def bind(path: Path) -> socket.socket:
    """A socket at this path, not listening yet; one that nobody listens on any more is replaced. Raises ``OSError``."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        before = os.umask(0o777 & ~_MODE)  # from the first moment on, not only after a chmod
        try:
            bound.bind(str(path))
        finally:
            os.umask(before)
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _remove_stale(path: Path) -> None:
    """Raises ``OSError`` where something else has the path, or somebody listens there."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.setblocking(False)
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:  # its queue is full
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
