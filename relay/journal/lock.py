"""Who may have a journal open: one process at a time, by whatever path it opens it.

A lock file beside the journal, locked (flock(2)) for as long as it is open and let go by the kernel when the process
ends, however it ends. SQLite's own locks cannot do it, since the relay's readers share the file with its writer.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from relay.journal.errors import in_use


class Lock:
    """Held from its making until ``release``. Raises ``JournalInUse`` where somebody else holds it, ``OSError``.

    ``path`` is the journal's own, with no link in it.
    """

    def __init__(self, path: Path) -> None:
        self._file = lock_of(path)
        self._descriptor: int | None = None
        while self._descriptor is None:
            # Read-only, so that a lock file which root has left behind keeps nobody out.
            descriptor = os.open(self._file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if self._locks(descriptor, path):
                self._descriptor = descriptor
            else:
                os.close(descriptor)

    def _locks(self, descriptor: int, path: Path) -> bool:
        """Whether it is locked and still the lock of this journal: the one who had it may just have removed it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise in_use(path) from None
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), os.stat(self._file))
        return False

    def release(self) -> None:
        """Lets the next one in. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                self._file.unlink()
            os.close(descriptor)


def lock_of(path: Path) -> Path:
    return path.with_name(path.name + "-lock")
