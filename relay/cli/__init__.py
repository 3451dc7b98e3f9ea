"""The ``relay`` command. Exit codes: 0 done, 1 failed, 2 wrong usage, 78 bad configuration.

Each command imports what it needs when it runs, so that ``relay version`` and ``relay --help`` are there at once.
"""

from __future__ import annotations

import gc
import os
import signal
import sys


def main() -> None:
    """The console script: runs the command that ``sys.argv`` names and ends the process with its exit code."""
    if "serve" in sys.argv[1:3]:
        # One that comes before the relay listens to it waits, instead of ending the process (relay.app.process).
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    _have_streams()
    _start_at_once()
    from typer.main import get_command

    from relay.cli.commands import build, named

    get_command(build(named(sys.argv[1:])))(prog_name="relay")


def _start_at_once() -> None:
    """Leaves out what a start does not need."""
    # Imports make no garbage, and a look at all of it for every 700 objects takes a twentieth of a start.
    gc.set_threshold(20_000, 20, 50)
    # pydantic would look into each installed package for plugins of its own, and show them what it reads.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _have_streams() -> None:
    """Opens on nothing what the shell has closed (``>&-``).

    Otherwise the journal or a connection would get the number, and whatever a library writes to standard error.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r"))  # noqa: SIM115 - for as long as the process lives
