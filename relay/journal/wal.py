"""Whether the write-ahead log can be trusted, checked before SQLite opens it. Nothing here writes.

SQLite ends its recovery at the first frame whose checksum is wrong and drops everything from there on without a word:
right for what a power cut left half written, wrong for a damaged disk, where acknowledged events follow. The two can
be told apart. Each commit is synced before the next one begins (``synchronous=FULL``), and each frame's checksum
continues that of the frame before it: a frame that continues a *commit* shows that everything up to that commit was
on disk once. So does a second commit of this log: only one can be under way. Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log

What cannot be seen: damage to the last transaction looks like a power cut, and a log cut off between two transactions
like one that was never longer. The sinks' checkpoints may still show it (``relay.core.publishing.lineage``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

HEADER = 32
FRAME_HEADER = 24
_MAGIC = 0x377F0682
"""With the lowest bit set the checksums are over big-endian words."""

_DEFAULT_PAGE = 4096
_MASK = 0xFFFFFFFF

Sums = tuple[int, int]
Salts = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Damage:
    """The first frame (from 1) that SQLite would drop although acknowledged transactions follow it.

    ``keep`` are the bytes in front of it; ``frames`` counts all that belong to this log.
    """

    frame: int
    frames: int
    keep: int


@dataclass(frozen=True, slots=True)
class _Frame:
    """``ours``: of this log, not left over from before it started over. ``linked``: its checksum continues, too, the
    frame before it: what is written there as its checksum, or what should be."""

    ends_transaction: bool
    ours: bool
    linked: bool


def damage(log: Path, recovered: int = 0) -> Damage | None:
    """Looks whether what SQLite would drop of a log had been committed and synced.

    ``recovered`` are the frames that its recovery took, which need no second look: a checksum is slow work in Python.
    """
    with log.open("rb") as file:
        header = file.read(HEADER)
        if len(header) < HEADER:
            return None
        found = (_damage(file, reading, recovered) for reading in _readings(file, header))
        return next((each for each in found if each is not None), None)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to read the log. ``valid``: its header is whole, so it is the way SQLite takes."""

    order: str
    page_size: int
    salts: Salts
    sums: Sums
    valid: bool


def _readings(file: BinaryIO, header: bytes) -> Iterator[_Reading]:
    """The way the header says; a damaged one, at which SQLite drops the whole log, may say anything."""
    magic, _, page_size, _, salt1, salt2, sum1, sum2 = struct.unpack(">8I", header)
    stated = ">" if magic & 1 else "<"
    if magic & ~1 == _MAGIC and _checksum(stated, header[:24], (0, 0)) == (sum1, sum2):
        yield _Reading(stated, page_size, (salt1, salt2), (sum1, sum2), valid=True)
        return
    first = file.read(FRAME_HEADER).ljust(FRAME_HEADER, b"\0")
    salts: Salts = struct.unpack_from(">2I", first, 8)
    for order in "<>":
        for size in {page_size, _DEFAULT_PAGE} if _is_page_size(page_size) else {_DEFAULT_PAGE}:
            yield _Reading(order, size, salts, (sum1, sum2), valid=False)


def _is_page_size(size: int) -> bool:
    return 512 <= size <= 65536 and size & (size - 1) == 0


def _damage(file: BinaryIO, reading: _Reading, recovered: int) -> Damage | None:
    frames = _frames(file, reading, recovered)
    good, first_bad = recovered, None
    for frame in frames:
        if not (reading.valid and frame.linked):
            first_bad = frame
            break
        good += 1
    dropped = _synced_from(first_bad, frames) if first_bad else 0
    if not dropped:
        return None
    return Damage(good + 1, good + dropped, HEADER + good * (FRAME_HEADER + reading.page_size))


def _synced_from(first_bad: _Frame, rest: Iterator[_Frame]) -> int:
    """How many frames of this log there are from the bad one on; 0 where nothing shows that it had been synced."""
    last, synced = 1, False
    committed = first_bad.ends_transaction  # whatever else is wrong with it: what continues it decides
    commits = first_bad.ours and first_bad.ends_transaction
    for count, frame in enumerate(rest, 2):
        last = count if frame.ours else last
        ends = frame.ours and frame.ends_transaction
        synced = synced or (committed and frame.linked) or (commits and ends)
        commits = commits or ends
        # It need not continue the frame before it, which may be the damaged one: the next one continues it.
        committed = ends
    return last if synced else 0


def _frames(file: BinaryIO, reading: _Reading, skipped: int) -> Iterator[_Frame]:
    """Those behind the first ``skipped``, which are known to be whole."""
    length = FRAME_HEADER + reading.page_size
    before = {reading.sums}
    if skipped:
        file.seek(HEADER + (skipped - 1) * length)
        before = {struct.unpack_from(">2I", file.read(FRAME_HEADER), 16)}
    file.seek(HEADER + skipped * length)
    while len(frame := file.read(length)) == length:
        _, commit, salt1, salt2, *sums = struct.unpack_from(">6I", frame)
        ours = (salt1, salt2) == reading.salts
        covered = frame[:8] + frame[FRAME_HEADER:]
        computed = {_checksum(reading.order, covered, each) for each in before} if ours else set()
        written = (sums[0], sums[1])
        yield _Frame(commit != 0, ours, written in computed)
        before = {written} | (computed if len(before) == 1 else set())


def _checksum(order: str, data: bytes, sums: Sums) -> Sums:
    """SQLite's own, section 4.2 of the format."""
    s0, s1 = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for even, odd in zip(words, words, strict=True):
        s0 = (s0 + even + s1) & _MASK
        s1 = (s1 + odd + s0) & _MASK
    return s0, s1
