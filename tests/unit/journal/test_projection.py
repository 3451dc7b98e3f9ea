from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from relay.core.event import Entry
from relay.journal.errors import JournalUnavailable
from relay.journal.store import Store
from tests.unit.drafts import draft

HUGE = 1 << 20
"""Bytes; more than the files of these tests may hold."""


class Ended:
    """A companion that remembers which tasks have ended, and has no room for one of them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @staticmethod
    def create(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS ended (task TEXT PRIMARY KEY, note BLOB NOT NULL) STRICT")

    def apply(self, entries: Sequence[Entry], now: int) -> None:
        for entry in entries:
            self.note(entry.event.subject, HUGE if entry.event.subject == "cursed" else 1)

    def note(self, task: str, size: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO ended VALUES (?, zeroblob(?))", (task, size))

    def all(self) -> list[str]:
        return [task for (task,) in self._db.execute("SELECT task FROM ended ORDER BY task")]

    def forget(self, task: str, *, instead: str | None = None) -> None:
        self._db.execute("DELETE FROM ended WHERE task = ?", (task,))
        if instead is not None:
            self.note(instead, HUGE)


@pytest.fixture
def opened(path: Path) -> Store:
    return Store(path, companions=[Ended], max_pages=HUGE // 4096)


def test_a_companion_follows_each_new_entry_and_no_duplicate(opened: Store) -> None:
    """A table beside the events would miss one, or take a repetition for news."""
    opened.append([draft("a"), draft("b")], 1)
    opened.companion(Ended).forget("a")
    opened.append([draft("a"), draft("c")], 2)
    assert opened.ask(Ended, Ended.all) == ["b", "c"]
    opened.close()


def test_a_companion_that_fails_takes_its_group_back_with_it(opened: Store) -> None:
    """Events and companion would disagree after a full disk: an ending without its event, or the reverse."""
    with pytest.raises(JournalUnavailable):
        opened.append([draft("a"), draft("cursed")], 1)
    assert opened.read(0, 10, 1 << 20) == []
    assert opened.companion(Ended).all() == []
    opened.close()


def test_a_companion_is_there_again_in_a_journal_that_is_opened_again(opened: Store, path: Path) -> None:
    """What had begun before a crash would be forgotten, or a second start would fail."""
    opened.append([draft("a")], 1)
    opened.close()
    again = Store(path, companions=[Ended])
    assert again.companion(Ended).all() == ["a"]
    again.close()


def test_a_change_is_all_or_nothing_and_its_errors_are_the_journals(opened: Store) -> None:
    """A half-made change would be committed with the next group, or a full disk would look like a bug."""
    opened.append([draft("a"), draft("b")], 1)
    companion = opened.companion(Ended)
    with pytest.raises(JournalUnavailable):
        opened.change(companion.forget, "a", instead="c")
    assert companion.all() == ["a", "b"]
    opened.change(companion.forget, "a")
    assert companion.all() == ["b"]
    opened.close()


def test_what_is_known_can_be_asked_for(opened: Store) -> None:
    """Whoever waits for a fact would not hear that it has come by another way."""
    known, unknown = draft("a", says="x"), draft("b")
    opened.append([known], 1)
    assert opened.known([known.key, unknown.key]) == {known.key: (b"x", 1)}
    opened.close()
