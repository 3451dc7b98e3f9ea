"""Records `relay demo --once` in a terminal, as docs/images/demo.svg: ``python -m docs.recording``."""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import sys
import termios
from fcntl import ioctl
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

COLUMNS: Final = 140
COMMAND: Final = ("relay", "demo", "--once", "--tasks", "9", "--chats", "5")
PICTURE: Final = Path(__file__).parent / "images" / "demo.svg"

_FONT: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""What would have the picture fetch fonts from elsewhere; the reader's own monospaced one will do."""


def recorded() -> str:
    """What the command writes to a terminal, colours included. Raises ``RuntimeError`` where it fails."""
    read: list[bytes] = []

    def keep(terminal: int) -> bytes:
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
        read.append(os.read(terminal, 4096))
        return read[-1]

    # The width is set by the variable, since the terminal begins without one.
    os.environ |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "COLORTERM": ""}
    status = pty.spawn([sys.executable, "-m", *COMMAND], keep, lambda _: b"")
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(COMMAND)} failed:\n{b''.join(read).decode()}")
    return b"".join(read).decode()


def drawn(printed: str) -> str:
    """The picture of a terminal that shows this."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("$ " + " ".join(COMMAND) + "\n" + printed.replace("\r\n", "\n")))
    svg = console.export_svg(title="relay demo", unique_id="demo")
    return "\n".join(line.rstrip() for line in _FONT.sub("", svg).splitlines()) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(drawn(recorded()), encoding="utf-8")
    print(PICTURE)
