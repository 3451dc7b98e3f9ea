"""System calls of a running process, watched or made to fail from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from tests.services.programs import executable


@contextlib.asynccontextmanager
async def attached(pid: int, trace: Path, *options: str) -> AsyncIterator[None]:
    """``strace`` with these options is attached to every thread of a process, and writes to ``trace``."""
    command = [executable("strace"), "-f", "-o", str(trace), *options, "-p", str(pid)]
    strace = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert strace.stderr is not None
    try:
        async with asyncio.timeout(10):
            while b"attached" not in (line := await strace.stderr.readline()):
                assert line, "strace could not attach: ptrace must be allowed"
        yield
    finally:
        async with asyncio.timeout(30):
            await _detach(strace, pid, trace)


async def _detach(strace: asyncio.subprocess.Process, pid: int, trace: Path) -> None:
    """Lets go of the process while it is stopped outside of any system call, then lets it go on.

    A call that is being made to fail when strace leaves would fail with ENOSYS: in 9 of 30 tries at a process that
    does nothing but write. SQLite takes that for a broken disk.
    """
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has ended, and strace with it
        os.kill(pid, signal.SIGSTOP)
        threads = len(os.listdir(f"/proc/{pid}/task"))
        while strace.returncode is None and _stopped(trace) < threads:
            await asyncio.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        strace.send_signal(signal.SIGINT)
    await strace.wait()
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _stopped(trace: Path) -> int:
    return trace.read_bytes().count(b"--- stopped by SIGSTOP ---")
