"""The ``relay`` command. Exit codes: 0 done, 1 failed, 2 wrong usage, 78 bad configuration.

Each command imports what it needs when it runs, so that ``relay version`` and ``relay --help`` are there at once.
"""

from __future__ import annotations


def main() -> None:
    """The console script: runs the command that ``sys.argv`` names and ends the process with its exit code."""
    from typer.main import get_command

    from relay.cli.commands import app

    get_command(app)(prog_name="relay")
