from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.core.publishing.lineage import Names
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.names import open_under, take_names
from relay.journal.rows import Progress
from relay.journal.store import Store
from tests.unit.drafts import draft

ONE = Names("one", {"kafka": "kafka", "redis": "redis"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "relay.db")
    made.append([draft("1"), draft("2")], 1, {"kafka": Progress(2, 2, 0)})
    yield made
    made.close()


def test_a_journal_that_must_exist_is_not_made(tmp_path: Path) -> None:
    """Broken: on a volume that is not mounted a new journal would hide the events of the old one."""
    for names in (None, ONE):
        with pytest.raises(JournalBroken) as refused:
            open_under(names, tmp_path / "gone.db", must_exist=True)
        assert "gone.db" in refused.value.message
    assert not list(tmp_path.glob("gone.db*"))


def test_a_change_of_the_identity_is_a_new_id_that_shares_the_past(store: Store) -> None:
    """Broken: P2: nobody would notice that the checkpoints are kept under another name, and all be published again."""
    take_names(store, ONE)
    before = store.journal_id
    take_names(store, ONE)
    assert store.journal_id == before
    take_names(store, Names("two", ONE.sinks))
    [fork] = store.forks
    assert (fork.journal_id, fork.offset, fork.identity, fork.sinks) == (before, 2, "one", ONE.sinks)
    assert store.journal_id != before
    assert fork.gap_upto == fork.gap_after, "no offset is skipped"
    store.append([draft("3")], 1)
    assert store.last_offset == 3


def test_a_renamed_sink_keeps_its_counts(store: Store) -> None:
    """Broken: the loss balance of a sink would start over because its label changed."""
    take_names(store, ONE)
    returned = take_names(store, Names("one", {"main": "kafka", "redis": "redis"}))
    assert store.checkpoints()["main"].published == 2
    assert "kafka" not in store.checkpoints()
    assert returned == frozenset()


def test_a_sink_that_is_away_keeps_its_name(store: Store) -> None:
    """Broken: a sink that is taken out and put in again under another label would look new."""
    take_names(store, ONE)
    before = store.journal_id
    take_names(store, Names("one", {"redis": "redis"}))
    assert store.journal_id == before
    take_names(store, Names("one", {"main": "kafka", "redis": "redis"}))
    assert store.journal_id != before


def test_sinks_that_are_new_or_return_are_named(store: Store) -> None:
    """Broken: their history would count against the backlog, and deliveries be refused."""
    assert take_names(store, ONE) == {"redis"}, "the journal knows only kafka"
    assert take_names(store, ONE) == frozenset()
    assert take_names(store, Names("one", {"redis": "redis"})) == frozenset()
    assert take_names(store, ONE) == {"kafka"}


def test_a_journal_whose_names_cannot_be_noted_is_closed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: the next try of the same process is refused, since the journal is in use: by itself."""
    path = store.path
    store.close()

    def full(*_: object) -> None:
        raise JournalUnavailable("disk_full", "The disk is full.", hint="")

    monkeypatch.setattr("relay.journal.names.take_names", full)
    with pytest.raises(JournalUnavailable) as refused:
        open_under(ONE, path, must_exist=True)
    Store(path).close()
    assert refused.value.code == "disk_full"
