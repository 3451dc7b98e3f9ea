"""Starts relay as systemd does with socket units: ``python -m tests.services.socket_activation NAME=FD,... COMMAND``.

The process replaces itself, as ``LISTEN_PID`` has to be that of relay.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Moves the descriptors to 3, 4, ... and runs ``relay`` with the rest of the arguments."""
    pairs = [pair.partition("=") for pair in sys.argv[1].split(",")]
    held = [os.dup2(int(number), 100 + n) for n, (_, _, number) in enumerate(pairs)]
    for n, number in enumerate(held):
        os.dup2(number, 3 + n)
        os.close(number)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ.setdefault("LISTEN_FDS", str(len(pairs)))
    os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _, _ in pairs)
    os.execv(sys.executable, [sys.executable, "-m", "relay", *sys.argv[2:]])


if __name__ == "__main__":
    main()
