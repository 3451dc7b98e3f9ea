"""One mistake against the tests that run its line, in a copy of the tree: the working copy is never touched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.validation.witness import FOLDER

Verdict = Literal["killed", "timed out", "survived"]

TIME_LIMIT: Final = 240.0
"""Seconds for all tests of one mistake; a mistake that makes them hang is noticed as well."""


class Copy:
    """A copy of what git tracks, to be broken."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, target, follow_symlinks=False)
        cache, copied = root / ".cache", folder / ".cache"
        if cache.exists() and not copied.exists():  # Kafka's jars; a link to them may have been copied
            copied.symlink_to(cache.resolve())
        self._changes = 0

    def pytest(
        self, *arguments: str, limit: float, extra: dict[str, str] | None = None, output: int = subprocess.DEVNULL
    ) -> int | None:
        """Runs pytest in the copy; answers its exit code, ``None`` where it took more than ``limit`` seconds.

        ``output``: a file descriptor for what it says. What it started and left behind is ended and removed.
        """
        with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as scratch:
            # The path is for the Pythons that tests start elsewhere: what is installed is without the mistake.
            own = {"TMPDIR": scratch, "PYTHONPATH": str(self.folder)}
            environment = {**os.environ, **(extra or {}), **own}
            for name in ("PYTHONDONTWRITEBYTECODE", FOLDER):  # the witnesses of a pytest around this one
                environment.pop(name, None)
            command = [sys.executable, "-m", "pytest", "-q", *arguments]
            with subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=output, stderr=output, start_new_session=True
            ) as run:
                try:
                    return run.wait(limit)
                except subprocess.TimeoutExpired:
                    return None
                finally:
                    with suppress(ProcessLookupError):
                        os.killpg(run.pid, signal.SIGKILL)

    def try_out(self, path: str, source: str, tests: Sequence[str], *, each: int = 60) -> Verdict:
        """Plants a mistake, runs the tests up to the first that fails, and takes the mistake back.

        ``each``: seconds for a test. Raises ``LookupError`` where a test is not there, mistake or not.
        """
        target = self.folder / path
        sound = target.read_bytes()
        try:
            self._write(target, source.encode())
            # By thread: a test that hangs ends the process, and no fixture of it can hang in turn.
            code = self.pytest("-x", f"--timeout={each}", "--timeout-method=thread", *tests, limit=TIME_LIMIT)
        finally:
            self._write(target, sound)
        if code == pytest.ExitCode.USAGE_ERROR and self.pytest("--collect-only", *tests, limit=TIME_LIMIT):
            raise LookupError(f"Not all of these tests are there: {' '.join(tests)}")
        return "timed out" if code is None else "survived" if code == 0 else "killed"

    def _write(self, target: Path, content: bytes) -> None:
        # Bytecode is taken for current by size and whole second of the source's time: give each change its own.
        self._changes += 1
        target.write_bytes(content)
        os.utime(target, (self._changes, self._changes))
