"""A folder as the store: on this machine, or mounted.

A file appears under its name whole, on disk, and only where there was none: it is written under another name, synced,
and then linked.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from io import FileIO
from pathlib import Path
from typing import Final, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from relay.archive.errors import StoreError
from relay.archive.store import Stored, Sum, occupied
from relay.threads import Worker

P = ParamSpec("P")
T = TypeVar("T")

_MARK: Final = "user.relay.output"
_CONTENT_TYPE: Final = "user.mime_type"
"""Names of extended attributes; the second one is the desktops' (freedesktop.org, shared-mime-info)."""
_UNFINISHED: Final = ".relay-unfinished"
_BLOCK: Final = 1 << 20
_WITHIN: Final = 120.0
"""Seconds for one step: to sync 200 MB may take long."""
_MOST_WORKERS: Final = 32
_LEFT: Final = 3600.0
"""Seconds after which a file that nothing is written to is taken for left by a process that was killed."""
_UNMARKED: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODATA, errno.ENOTSUP})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Folder:
    """``url``: ``file:///var/lib/outputs``. Its files stay as they are if relay ends."""

    def __init__(self, url: str) -> None:
        self._root = Path(unquote(urlsplit(url).path))
        self._workers = 0
        self._idle: list[Worker] = []

    async def find(self, key: str, mark: str) -> Stored | None:
        return await self._in_thread(_find, self._root / key, mark)

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str, mark: str) -> Stored:
        path, summed = self._root / key, Sum()
        unfinished = self._root / _UNFINISHED / uuid4().hex
        file = await self._in_thread(_created, unfinished)
        try:
            async for block in _blocks(summed.of(chunks)):
                await self._in_thread(_write, file, block)
            attributes = {_MARK: mark, _CONTENT_TYPE: content_type}
            await self._in_thread(_finish, file, unfinished, path, attributes)
        except FileExistsError:
            if (await self._in_thread(_sum_of, path)).sha256 != summed.sha256:
                raise occupied(path.as_uri()) from None
        finally:
            await asyncio.shield(self._in_thread(_discard, file, unfinished))
        return summed.stored(path.as_uri(), content_type)

    async def check(self) -> None:
        """Also whether files can be written there. Removes what earlier processes left unfinished."""
        await self._in_thread(_check, self._root / _UNFINISHED)

    def reconfigure(self, options: Mapping[str, str]) -> None:
        """A folder has no credentials."""

    def close(self) -> None:
        """Ends the threads that a disk does not hold."""
        while self._idle:
            self._idle.pop().end()
            self._workers -= 1

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread of the folder's: a dead mount holds it forever. Raises ``StoreError`` for the disk's errors."""
        worker = self._worker()
        running: Future[T] = worker.submit(function, *args, **kwargs)
        running.add_done_callback(lambda _: self._idle.append(worker))
        try:
            async with asyncio.timeout(_WITHIN):
                return await asyncio.wrap_future(running)
        except FileExistsError:
            raise
        except TimeoutError:
            raise _hangs() from None
        except OSError as error:
            raise _failure(error) from None

    def _worker(self) -> Worker:
        """One that is idle. A new thread per step would stop the event loop until it has begun."""
        if self._idle:
            return self._idle.pop()
        if self._workers >= _MOST_WORKERS:
            raise _hangs()
        self._workers += 1
        return Worker("outputs")


def _hangs() -> StoreError:
    return StoreError("store_unavailable", "The disk of archive.url does not answer.", hint="Is it mounted?")


def _failure(error: OSError) -> StoreError:
    reason = f"The folder of archive.url cannot be used: {error.strerror or error}."
    if error.errno in _FULL:
        return StoreError("store_full", reason, hint="Make room, or delete outputs that nobody needs any more.")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return StoreError("store_denied", reason, hint="relay's user must be able to write there.")
    return StoreError("store_unavailable", reason, hint="Is it mounted?")


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Joined to what is worth a thread's time."""
    block: list[bytes] = []
    size = 0
    async for chunk in chunks:
        block.append(chunk)
        size += len(chunk)
        if size >= _BLOCK:
            yield b"".join(block)
            block, size = [], 0
    yield b"".join(block)


def _check(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        if left.stat().st_mtime < time.time() - _LEFT:
            left.unlink(missing_ok=True)
    probe = folder / uuid4().hex
    _discard(_created(probe), probe)


def _find(path: Path, mark: str) -> Stored | None:
    try:
        if os.getxattr(path, _MARK) != mark.encode():
            return None
        content_type = os.getxattr(path, _CONTENT_TYPE).decode()
    except OSError as error:
        # A file system without attributes: the file is compared when the output is there again.
        if error.errno in _UNMARKED:
            return None
        raise
    return _sum_of(path).stored(path.as_uri(), content_type)


def _created(path: Path) -> FileIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileIO(path, "x")


def _write(file: FileIO, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]


def _finish(file: FileIO, unfinished: Path, path: Path, attributes: Mapping[str, str]) -> None:
    """Raises ``FileExistsError`` where the name is taken."""
    try:
        for name, value in attributes.items():
            os.setxattr(file.fileno(), name, value.encode())
    except OSError as error:
        if error.errno not in _UNMARKED:
            raise
    os.fsync(file.fileno())
    made = [each for each in path.parents if not each.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    os.link(unfinished, path)
    for folder in (path.parent, *(each.parent for each in made)):
        _sync_folder(folder)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _discard(file: FileIO, unfinished: Path) -> None:
    file.close()
    unfinished.unlink(missing_ok=True)


def _sum_of(path: Path) -> Sum:
    found = Sum()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.add(block)
    return found
