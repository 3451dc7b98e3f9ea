"""A small volume of a test's own, in memory: a disk that is really full."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_volume(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A tmpfs of this size is mounted on a folder, which is made. Only root may do that."""
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={mebibytes}m"]
    mounted = subprocess.run(["mount", *options, "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    assert mounted.returncode == 0, f"this row mounts a small volume, as root only: {mounted.stderr}"
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
