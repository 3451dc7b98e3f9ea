"""Namespaces in which a whole machine's worth of daemons runs, and with which all of it ends.

The kernel ends every process of a PID namespace when its first one ends, and takes the mounts and the networks with
it: so nothing has to be found and killed one by one, whatever went wrong. What is left are cgroups and folders.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy.cluster import cgroups

UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_VOLATILE = ("/run", "/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/var/log/pods")
"""Folders that the daemons write to wherever their settings point: in there, they are empty and in memory."""
_ENDS_WITHIN = 30.0


def run(command: list[str], groups: list[str]) -> int:
    """Runs a command in there, whose ``main`` calls ``first``; answers its exit code.

    ``groups``: the cgroups that it makes. They are gone in the end, and everything that ran in there.
    """
    made = [path for path in map(Path, _VOLATILE) if not path.exists()]
    for path in made:
        path.mkdir(parents=True)
    process = subprocess.Popen([*UNSHARE, *command])
    try:
        return process.wait()
    finally:
        _end(process, groups)
        for group in groups:
            cgroups.remove(group)
        for path in made:
            path.rmdir()


def _end(process: subprocess.Popen[bytes], groups: list[str]) -> None:
    """``unshare`` waits with signals blocked, but takes the first process in there with it, and that one all others."""
    with suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        descriptors = [os.pidfd_open(int(child)) for child in children]
        process.kill()
        for group in groups:
            cgroups.thaw(group)
        for descriptor in descriptors:
            select.select([descriptor], [], [], _ENDS_WITHIN)
            os.close(descriptor)
    process.wait()


def first(main: Callable[[], int], groups: list[str]) -> None:
    """Never returns: be the first process in there, and run ``main``, which makes these cgroups, in a child.

    The first one inherits those whose parents ended, as the shims of containers are, and has to collect them.
    """
    for path in _VOLATILE:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True, timeout=20)
    child = os.fork()
    if child == 0:
        sys.exit(main())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(child, number))
    while True:
        ended, status = os.wait()
        if ended == child:
            for group in groups:
                cgroups.thaw(group)
            sys.exit(os.waitstatus_to_exitcode(status) % 256)
