"""``python -m tests.faults.harness.launch [--crash NAME:NTH | --plant NAME | --clock FILE] serve ...``: the relay, with
one thing broken.

The relay's own code has no hook for this: what is broken is replaced by name (``tests.faults.harness.places``) before
the command runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from relay.cli import main
from tests.faults.harness.failpoints import BY_NAME
from tests.faults.harness.planted import BUGS


def crashing(name: str, nth: int) -> tuple[str, ...]:
    """The program for ``RelayProcess``: dies when it reaches a failpoint for the ``nth`` time."""
    return "tests.faults.harness.launch", "--crash", f"{name}:{nth}"


def planted(name: str) -> tuple[str, ...]:
    """The program for ``RelayProcess``: has a bug."""
    return "tests.faults.harness.launch", "--plant", name


def wrong_clock(offset: Path) -> tuple[str, ...]:
    """The program for ``RelayProcess``: its wall clock is off by the seconds in a file, which may change meanwhile."""
    return "tests.faults.harness.launch", "--clock", str(offset)


def _set_clock(offset: Path) -> None:
    """As ``settimeofday`` does it: only the wall clock jumps, for everything in the process that asks Python for it."""
    right = time.time_ns

    def off() -> int:
        return right() + int(offset.read_text()) * 10**9

    time.time_ns = off
    time.time = lambda: off() / 1e9


def _break(option: str, value: str) -> None:
    if option == "--clock":
        _set_clock(Path(value))
        return
    if option == "--plant":
        BUGS[value]()
        return
    name, _, nth = value.rpartition(":")
    BY_NAME[name].arm(int(nth))


if __name__ == "__main__":
    _break(*sys.argv[1:3])
    del sys.argv[1:3]
    main()
