from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay.journal.errors import JournalInUse
from relay.journal.lock import Lock, lock_of
from relay.journal.store import Store


def test_a_journal_is_open_once_at_a_time(path: Path) -> None:
    """Broken: two relays would share a volume by mistake, and each number its events for itself."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    store = Store(path)
    for way in (path, link):
        with pytest.raises(JournalInUse):
            Store(way)
    store.close()
    Store(link).close()
    assert sorted(os.listdir(path.parent)) == ["link.db", "relay.db"]


def test_a_lock_that_a_killed_process_left_keeps_nobody_out(path: Path) -> None:
    """Broken: after each crash somebody would have to remove a file by hand."""
    lock_of(path).touch(0o444)
    Store(path).close()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: of two that start while a third ends, each could hold a lock that the other does not see."""
    really_opened = os.open
    opened = []

    def removed_after_opening(file: Path, flags: int, mode: int) -> int:
        opened.append(really_opened(file, flags, mode))
        if len(opened) == 1:
            file.unlink()  # as its holder does when it ends
        return opened[-1]

    monkeypatch.setattr(os, "open", removed_after_opening)
    lock = Lock(path)
    monkeypatch.undo()
    assert len(opened) == 2
    with pytest.raises(JournalInUse):
        Lock(path)
    lock.release()
    Lock(path).release()
