from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from relay.journal.errors import JournalUnavailable
from relay.journal.plan import Plan
from relay.journal.projection import Projection
from relay.journal.store import Store
from tests.unit.drafts import draft

HUGE = 1 << 20
"""Bytes; more than the files of these tests may hold."""


class Ended(Projection):
    """A projection that remembers which tasks have ended, and has no room for one of them."""

    statements: ClassVar = {
        "create": "CREATE TABLE IF NOT EXISTS ended (task TEXT PRIMARY KEY, note BLOB NOT NULL) STRICT"
    }

    def apply(self, group: Plan) -> None:
        for entry in group.entries:
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
    return Store(path, projections=[Ended], max_pages=HUGE // 4096)


def test_a_projection_follows_each_new_entry_and_no_duplicate(opened: Store) -> None:
    """A table beside the events would miss one, or take a repetition for news."""
    opened.append([draft("a"), draft("b")], 1)
    opened.projection(Ended).forget("a")
    opened.append([draft("a"), draft("c")], 2)
    assert opened.query(Ended, Ended.all) == ["b", "c"]
    opened.close()


def test_a_projection_that_fails_takes_its_group_back_with_it(opened: Store) -> None:
    """Events and projection would disagree after a full disk: an ending without its event, or the reverse."""
    with pytest.raises(JournalUnavailable):
        opened.append([draft("a"), draft("cursed")], 1)
    assert opened.read(0, 10, 1 << 20) == []
    assert opened.projection(Ended).all() == []
    opened.close()


def test_a_projection_is_there_again_in_a_journal_that_is_opened_again(opened: Store, path: Path) -> None:
    """What had begun before a crash would be forgotten, or a second start would fail."""
    opened.append([draft("a")], 1)
    opened.close()
    again = Store(path, projections=[Ended])
    assert again.projection(Ended).all() == ["a"]
    again.close()


def test_a_change_is_all_or_nothing_and_its_errors_are_the_journals(opened: Store) -> None:
    """A half-made change would be committed with the next group, or a full disk would look like a bug."""
    opened.append([draft("a"), draft("b")], 1)
    projection = opened.projection(Ended)
    with pytest.raises(JournalUnavailable):
        opened.execute(projection.forget, "a", instead="c")
    assert projection.all() == ["a", "b"]
    opened.execute(projection.forget, "a")
    assert projection.all() == ["b"]
    opened.close()


def test_what_is_known_can_be_asked_for(opened: Store) -> None:
    """A task that waits for a fact would not notice that it has arrived another way."""
    known, unknown = draft("a", says="x"), draft("b")
    opened.append([known], 1)
    assert opened.known([known.key, unknown.key]) == {known.key: (b"x", 1)}
    opened.close()
