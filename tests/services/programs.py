"""Programs of the machine that tests start."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest


def executable(name: str) -> str:
    """The path of a program. A test that lacks one fails; it is never skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not on the path: `make setup` installs it, or says how. Start tests with make.")
    return found


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder in which every user may write: started by root, squid and nginx' worker become another one.

    pytest's folders, and a ``TMPDIR`` like ``mktemp -d`` makes it, let nobody else in.
    """
    with tempfile.TemporaryDirectory(prefix="relay-test-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


class Listening:
    """``async with``: a program that listens on ``port``; it ends with the block."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """What starts it, in the foreground."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._process = subprocess.Popen(self.command())  # noqa: ASYNC220
        async with asyncio.timeout(10):
            while not await self._listens():
                await asyncio.sleep(0.02)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, 10)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True
