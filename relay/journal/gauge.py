"""The length of the write-ahead log, read from the log itself and not from what was to be written.

The file does not shrink when the log starts over; its first frames are written over. Each frame carries the salts of
the log that it belongs to, those of the header, so one look at one frame shows whether the log reaches that far.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from relay.journal.wal import FRAME_HEADER, HEADER

_SALTS: Final = 8
_HEADER_SALTS: Final = 16  # where they are in the header
_FRAME_SALTS: Final = 8  # and in that of a frame


class Gauge:
    """The log of an open journal. ``page_size`` in bytes."""

    def __init__(self, log: Path, page_size: int) -> None:
        self._descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        self._frame = FRAME_HEADER + page_size
        self._noted = (b"", 0)

    def reaches(self, size: int) -> bool:
        """Whether the log has ``size`` bytes since it started over."""
        return self._has(size // self._frame, self._salts())

    def grown(self, size: int) -> bool:
        """Whether it has ``size`` bytes more than were noted last; where it has started over since, than none."""
        salts = self._salts()
        known, frames = self._noted
        return self._has(size // self._frame + (frames if salts == known else 0), salts)

    def note(self, frames: int) -> None:
        """So many frames have just been looked at."""
        self._noted = (self._salts(), frames)

    def _has(self, frame: int, salts: bytes) -> bool:
        place = HEADER + max(frame - 1, 0) * self._frame + _FRAME_SALTS
        return len(salts) == _SALTS and os.pread(self._descriptor, _SALTS, place) == salts

    def _salts(self) -> bytes:
        return os.pread(self._descriptor, _SALTS, _HEADER_SALTS)

    def close(self) -> None:
        os.close(self._descriptor)
