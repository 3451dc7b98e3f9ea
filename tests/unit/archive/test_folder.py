"""A folder as the store: what of it only a folder has."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.archive import folder
from relay.archive.errors import StoreError
from relay.archive.folder import Folder

BYTES = os.urandom(3 << 20)


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


async def test_a_file_appears_whole_and_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, somebody reads half an output, or a power cut takes one that is archived."""
    synced: list[str] = []
    real = os.fsync

    def fsync(file: int) -> None:
        name = os.readlink(f"/proc/self/fd/{file}")
        synced.append(Path(name).relative_to(tmp_path).as_posix())
        assert (tmp_path / "2026" / "t" / "0.png").exists() is (len(synced) > 1), "linked after it is on disk"
        real(file)

    monkeypatch.setattr(folder.os, "fsync", fsync)
    stored = await Folder(tmp_path.as_uri()).put("2026/t/0.png", chunks(BYTES[:7], BYTES[7:]), "image/png", "t/0")
    assert synced[0].startswith(".relay-unfinished/")
    assert synced[1:] == ["2026/t", "2026", "."]
    assert (tmp_path / "2026/t/0.png").read_bytes() == BYTES
    assert stored.url == (tmp_path / "2026/t/0.png").as_uri()
    assert files(tmp_path) == ["2026/t/0.png"]


async def test_a_file_system_without_attributes_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, an output on NFS is lost after a kill, or cannot be archived at all."""

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(folder.os, "setxattr", unsupported)
    monkeypatch.setattr(folder.os, "getxattr", unsupported)
    store = Folder(tmp_path.as_uri())
    first = await store.put("t/0.png", chunks(BYTES), "image/png", "t/0")
    assert await store.find("t/0.png", "t/0") is None
    assert await store.put("t/0.png", chunks(BYTES), "image/png", "t/0") == first


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "store_full"),
        (errno.EDQUOT, "store_full"),
        (errno.EROFS, "store_denied"),
        (errno.EACCES, "store_denied"),
        (errno.EIO, "store_unavailable"),
    ],
)
async def test_an_error_of_the_disk_says_what_to_do(
    number: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, a full disk loses outputs, instead of making them wait."""

    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folder, "_write", fails)
    with pytest.raises(StoreError) as caught:
        await Folder(tmp_path.as_uri()).put("t/0.png", chunks(BYTES), "image/png", "t/0")
    assert (caught.value.code, caught.value.retriable) == (code, True)
    assert caught.value.hint
    assert files(tmp_path) == []


async def test_a_disk_that_hangs_holds_few_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, a dead mount takes a thread with each attempt until the machine has none."""
    hangs = threading.Event()
    monkeypatch.setattr(folder, "_find", lambda *_: hangs.wait())
    monkeypatch.setattr(folder, "_WITHIN", 0.001)
    monkeypatch.setattr(folder, "_MOST_WORKERS", 3)
    store = Folder(tmp_path.as_uri())
    before = threading.active_count()
    try:
        for _ in range(9):
            with pytest.raises(StoreError, match="does not answer"):
                await store.find("t/0.png", "t/0")
        assert threading.active_count() <= before + 3
    finally:
        hangs.set()


async def test_a_check_removes_what_was_left_but_not_what_is_under_way(tmp_path: Path) -> None:
    """If this fails, each kill leaves gigabytes, or a check breaks the outputs that arrive beside it."""
    folder_of = tmp_path / ".relay-unfinished"
    folder_of.mkdir()
    for name in ("left", "new"):
        (folder_of / name).write_bytes(b"x")
    os.utime(folder_of / "left", (1, 1))
    await Folder(tmp_path.as_uri()).check()
    assert files(tmp_path) == [".relay-unfinished/new"]


async def test_the_threads_are_used_again_and_end_with_the_folder(tmp_path: Path) -> None:
    """If this fails, the start of a thread per step stops the event loop, and with it acknowledgements."""
    store, before = Folder(tmp_path.as_uri()), threading.active_count()
    for number in range(5):
        await store.put(f"t/{number}.png", chunks(BYTES, BYTES), "image/png", f"t/{number}")
    assert threading.active_count() == before + 1
    store.close()
    assert threading.active_count() == before
