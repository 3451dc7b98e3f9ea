"""A reserve on the disk for the journal's own maintenance, so that it recovers from a full disk by itself.

Pruning writes before it frees, and so do merging and moving the log into the file: on a disk without a free block
none of them works, and what has expired stays forever. Hence a file of a fixed size lies beside the journal. When the
disk is full it goes, and nothing but maintenance writes until there is room for it again, and for some more.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

MOST: Final = 16 << 20
"""Bytes of a reserve: what the log may hold besides what maintenance writes."""

LEAST: Final = 256 << 10

_SHARE: Final = 8  # a small volume keeps an eighth of itself
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def reserve_of(path: Path) -> Path:
    return path.with_name(path.name + "-reserve")


class Reserve:
    """The file. Synchronous; belongs to the journal's thread."""

    def __init__(self, journal: Path) -> None:
        self._path = reserve_of(journal)
        self.size = _size_on(journal.parent)
        """Bytes."""
        self.released = False

    def hold(self, spare: int = 0) -> bool:
        """Takes the room, if there is that and ``spare`` bytes more; whether it is held.

        Where the file system can promise no room (or forbids such a file) there is no reserve, and this is true:
        the next write will show.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            return error.errno not in _FULL
        try:
            return self._filled(descriptor, spare)
        finally:
            os.close(descriptor)

    def _filled(self, descriptor: int, spare: int) -> bool:
        try:
            # Blocks, not a hole: this is what a file system promises for.
            os.posix_fallocate(descriptor, 0, self.size + spare)
        except OSError as error:
            if error.errno in _FULL:
                with suppress(OSError):
                    os.ftruncate(descriptor, 0)
                return False
            return True
        if spare:
            with suppress(OSError):
                os.ftruncate(descriptor, self.size)
        self.released = False
        return True

    def release(self) -> None:
        """Gives the room to maintenance."""
        self.released = True
        with suppress(OSError):
            os.unlink(self._path)


def _size_on(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return LEAST
    return max(LEAST, min(MOST, found.f_blocks * found.f_frsize // _SHARE))
