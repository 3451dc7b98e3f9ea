"""A command on a real terminal: what a person sees, with the escape sequences that made it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.integration.test_cli import BOUND, RELAY, environment

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Seen:
    """What came out on the terminal, and how the command ended."""

    raw: str
    code: int

    @property
    def text(self) -> str:
        """Without colour and movements of the cursor."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    @property
    def coloured(self) -> bool:
        """Whether anything has a colour: not bold or dim alone."""
        return bool(re.search(r"\x1b\[[0-9;]*3[0-7]m", self.raw))


def on_terminal(*arguments: str | Path, typed: str = "", columns: int = 100, **env: str) -> Seen:
    """Runs the script with a terminal for all three streams."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in environment().items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        [RELAY, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=inherited | {"TERM": "xterm-256color"} | env,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    bound = threading.Timer(BOUND, process.kill)
    bound.start()
    try:
        seen = b"".join(iter(lambda: _read(ours), b""))
        return Seen(seen.decode(), process.wait(BOUND))
    finally:
        bound.cancel()
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # EIO: the other end is closed
        return b""
