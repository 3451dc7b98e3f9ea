"""What a power cut can leave of a journal, worked out from the system calls of a process that wrote one.

``strace`` records each write with its data, each sync, and each change of a name. A disk may have kept any part of what
was not synced when the power fails: nothing, all, or any sectors of any of the writes; a new name may be lost although
the file's own data was synced, until the folder that holds it is synced. What was synced stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

SECTOR = 512
"""Bytes that a disk writes whole or not at all (SQLite assumes no more: https://www.sqlite.org/psow.html)."""

STRACE = "strace -qq -xx -y -s 1048576 -e trace=openat,pwrite64,write,fdatasync,fsync,ftruncate,unlink,mkdir -o".split()

_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+)")
_HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})*)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One successful system call. ``path`` is the file's or the folder's."""

    name: str
    path: str
    data: bytes = b""
    at: int = 0
    creates: bool = False


def calls_of(trace: Path) -> Iterator[Call]:
    """Those of a trace that ``STRACE`` wrote, in order."""
    for line in trace.read_text("ascii").splitlines():
        match = _CALL.match(line)
        if match is not None and int(match[3]) >= 0:
            yield _call(match[1], match[2])


def _call(name: str, arguments: str) -> Call:
    texts = [_unhex(text) for text in _HEX.findall(arguments)]
    if name == "openat":
        return Call(name, texts[0].decode(), creates="O_CREAT" in arguments)
    if name in ("unlink", "mkdir"):
        return Call(name, texts[0].decode())
    descriptor = _DESCRIPTOR.match(arguments)
    assert descriptor is not None, f"{name}({arguments[:80]}"
    path = _unhex(descriptor[1]).decode()
    if name == "ftruncate":
        return Call(name, path, at=int(arguments.rpartition(", ")[2]))
    if name == "pwrite64":
        return Call(name, path, texts[0], int(arguments.rpartition(", ")[2]))
    return Call(name, path, texts[0] if texts else b"")


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass(slots=True)
class File:
    """What is synced, and the writes and truncations since."""

    synced: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Where, and what; ``None``: cut off there."""

    def sync(self) -> None:
        self.synced = self.content(self.pending)
        self.pending = []

    def content(self, applied: list[tuple[int, bytes | None]]) -> bytes:
        data = bytearray(self.synced)
        for at, piece in applied:
            if piece is None:
                data[:] = data[:at].ljust(at, b"\0")
            else:
                data[:] = data.ljust(at, b"\0")
                data[at : at + len(piece)] = piece
        return bytes(data)


Left = Literal["nothing", "all", "some"]


class Disk:
    """Files and their names, as the calls of a process change them."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.names: dict[str, File | None] = {}
        """As the process sees them; ``None`` is a folder."""
        self.synced_names: dict[str, File | None] = {}
        self._changed: list[tuple[str, bool, File | None]] = []

    def apply(self, call: Call) -> None:
        """Follows one call; others than those to files below ``root`` leave no trace."""
        if not call.path.startswith(self.root):
            return
        known = self.names.get(call.path)
        if call.name == "openat" and call.creates and call.path not in self.names:
            self._rename(call.path, True, File())
        elif call.name == "mkdir":
            self._rename(call.path, True, None)
        elif call.name == "unlink":
            self._rename(call.path, False, known)
        elif call.name == "pwrite64" and known is not None:
            known.pending.append((call.at, call.data))
        elif call.name == "ftruncate" and known is not None:
            known.pending.append((call.at, None))
        elif call.name in ("fsync", "fdatasync"):
            if known is not None:
                known.sync()
            else:
                self._sync_folder(call.path)

    def _rename(self, path: str, present: bool, file: File | None) -> None:
        self._changed.append((path, present, file))
        _set(self.names, path, present, file)

    def _sync_folder(self, folder: str) -> None:
        for change in self._changed:
            if str(Path(change[0]).parent) == folder:
                _set(self.synced_names, *change)
        self._changed = [change for change in self._changed if str(Path(change[0]).parent) != folder]

    def after_power_cut(self, left: Left, dice: Random) -> dict[str, bytes]:
        """The files that are found again, by path. A file whose folder is lost is lost with it."""
        names = dict(self.synced_names)
        kept = {"nothing": 0, "all": len(self._changed), "some": dice.randrange(len(self._changed) + 1)}[left]
        for change in self._changed[:kept]:  # a file system keeps the order of its own changes
            _set(names, *change)
        found = {path: file for path, file in names.items() if _reachable(path, names, self.root)}
        return {path: file.content(_kept(file, left, dice)) for path, file in found.items() if file is not None}


def _set(names: dict[str, File | None], path: str, present: bool, file: File | None) -> None:
    if present:
        names[path] = file
    else:
        names.pop(path, None)


def _reachable(path: str, names: dict[str, File | None], root: str) -> bool:
    parent = str(Path(path).parent)
    return parent == root or (parent in names and _reachable(parent, names, root))


def _kept(file: File, left: Left, dice: Random) -> list[tuple[int, bytes | None]]:
    if left == "nothing":
        return []
    if left == "all":
        return file.pending
    kept: list[tuple[int, bytes | None]] = []
    for at, piece in file.pending:
        fate = dice.random()
        if piece is None or fate < 0.4:
            kept += [(at, piece)] if fate < 0.4 else []
        elif fate < 0.7:  # torn: some sectors of it
            kept += [each for each in _sectors(at, piece) if dice.random() < 0.5]
    return kept


def _sectors(at: int, piece: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(piece):
        end = min(len(piece), start + SECTOR - (at + start) % SECTOR)
        yield at + start, piece[start:end]
        start = end
