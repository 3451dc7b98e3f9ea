"""The ``relay`` command. Exit codes: 0 done, 1 failed, 2 wrong usage, 78 bad configuration.

Each command imports what it needs when it runs, so that ``relay version`` and ``relay --help`` are there at once.
"""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """The console script: runs the command that ``sys.argv`` names and ends the process with its exit code."""
    if "serve" in sys.argv[1:3]:
        # One that comes before the relay listens to it waits, instead of ending the process (relay.app.process).
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from typer.main import get_command

    from relay.cli.commands import app

    get_command(app)(prog_name="relay")
