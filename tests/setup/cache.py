"""What is fetched once, at the versions that are locked here, into ``.cache``."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = ROOT / ".cache"
BIN: Final = CACHE / "bin"
"""Programs that were fetched or built. The Makefile puts it first on the path."""
INSTALL_TIMEOUT: Final = 600.0
_TAIL: Final = 2000
"""Characters of what an installer printed that are kept: the reason is at the end."""


class NotFetchedError(RuntimeError):
    """An installer failed; the text is its command and the end of what it printed."""


def cached(name: str, lock: bytes, install: Callable[[Path], None]) -> Path:
    """The folder ``.cache/<name>-<hash of the lock>``, filled the first time; safe to call from several processes."""
    folder = CACHE / f"{name}-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            install(folder)
            (folder / "complete").touch()
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time gets in."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def offer(program: str, path: Path) -> None:
    """Puts a program into ``.cache/bin``, instead of any other version."""
    BIN.mkdir(exist_ok=True)
    link = BIN / f".{program}-{os.getpid()}"
    link.symlink_to(path.resolve())  # .cache may itself be a link
    link.replace(BIN / program)


def pip_install(lock: Path, folder: Path | None = None) -> None:
    """Installs what a lock names, as wheels only: into a folder, else for this Python. Raises ``NotFetchedError``."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    target = ["--target", str(folder)] if folder else []
    run_installer([*pip, "--only-binary=:all:", *target, "-r", str(lock)], folder or ROOT)


def run_installer(
    command: list[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = INSTALL_TIMEOUT,
) -> None:
    """Runs what fills a folder. Raises ``NotFetchedError`` where it fails or takes longer."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFetchedError(f"{' '.join(command[:4])}: {error}") from error
    if done.returncode:
        raise NotFetchedError(f"{' '.join(command[:4])} failed:\n{(done.stdout + done.stderr)[-_TAIL:]}")
