"""Free loopback ports, each given out once: to this process and to those that run tests beside it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from collections import deque
from pathlib import Path
from typing import Final, TextIO

EPHEMERAL: Final = 32768
"""From here on Linux gives ports to outgoing connections, which would take that of a broker while it is down."""

BUS: Final = 10000
"""How far above its port a node of a Redis Cluster listens for the other nodes."""

_CLAIMS: Final = Path(tempfile.gettempdir(), f"relay-test-ports-{os.getuid()}")
_MOST_HELD: Final = 400
"""Ports that a process keeps at a time; the tests of the earlier ones are over."""

_held: deque[TextIO] = deque()
"""Locked files. The locks end with the process, so that a killed run leaves no port behind."""


def free_port() -> int:
    """A port that nobody listens on, below the ephemeral range. Raises ``RuntimeError`` where there is none."""
    return _free(range(23000, EPHEMERAL), ())


def free_port_with_bus() -> int:
    """A port for a node of a Redis Cluster: its bus port, 10000 above, is free as well."""
    return _free(range(16000, EPHEMERAL - BUS), (BUS,))


def _free(candidates: range, above: tuple[int, ...]) -> int:
    for port in random.sample(candidates, 1000):
        wanted = (port, *(port + offset for offset in above))
        if all(map(_is_free, wanted)) and _claim(wanted):
            return port
    raise RuntimeError(f"no free port between {candidates.start} and {candidates.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _claim(ports: tuple[int, ...]) -> bool:
    _CLAIMS.mkdir(exist_ok=True)
    files = [(_CLAIMS / str(port)).open("w") for port in ports]
    try:
        for file in files:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        for file in files:
            file.close()
        return False
    _held.extend(files)
    while len(_held) > _MOST_HELD:
        _held.popleft().close()
    return True
