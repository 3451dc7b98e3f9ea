"""A journal that is looked at from outside: nothing is made, nothing is changed, nothing that is wrong is missed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.core.errors import RelayError
from relay.journal import inspect
from relay.journal.errors import JournalBroken, JournalInUse
from relay.journal.inspect import Figures, SinkLedger, Span
from relay.journal.rows import Progress
from relay.journal.store import Store
from tests.unit.drafts import dead_draft, draft

NOW = 1_700_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of five events and one dead letter; sink ``a`` has four of them and refused one, ``b`` has none."""
    path = tmp_path / "relay.db"
    store = Store(path)
    store.append([draft(f"t{n}") for n in range(5)], NOW)
    store.append([dead_draft()], NOW + 1, {"a": Progress(5, 4, 1)})
    store.close()
    return path


def looked_at(path: Path) -> Figures:
    store = inspect.open_existing(path)
    try:
        return inspect.figures(store)
    finally:
        store.close()


def codes(path: Path) -> list[str]:
    store = inspect.open_existing(path)
    try:
        return [finding.code for finding in inspect.verify(store)[1]]
    finally:
        store.close()


def test_the_figures_are_those_of_the_file(path: Path) -> None:
    """An operator would decide on wrong numbers."""
    found = looked_at(path)
    assert (found.events, found.first_offset, found.last_offset) == (6, 1, 6)
    assert (found.oldest_at, found.dedup_keys, found.dead_letters) == (NOW, 6, 1)
    assert found.sinks == (SinkLedger("a", 5, 4, 1, 0, 0, 1),)
    assert found.missing == ()


def test_keys_are_counted_once_whether_merged_or_not(path: Path) -> None:
    """The number of dedup keys would jump when they are merged."""
    store = Store(path)
    while store.merge_dedup():
        pass
    store.append([draft("later")], NOW)
    store.close()
    assert looked_at(path).dedup_keys == 7


def test_looking_changes_nothing(path: Path) -> None:
    """Verifying a journal would alter the evidence."""
    before = path.read_bytes()
    assert codes(path) == []
    looked_at(path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def _nothing(path: Path) -> None:
    path.unlink(missing_ok=True)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("server: {}\n" * 100)


def _foreign(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE other (x)")
    db.commit()
    db.close()


@pytest.mark.parametrize("make", [_nothing, _empty, _text, _foreign])
def test_what_is_no_journal_stays_as_it_is(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A misspelt path would leave a new, empty journal there, or tables in somebody else's database."""
    path = tmp_path / "deep.db"
    make(path)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(RelayError) as refused:
        inspect.open_existing(path)
    assert refused.value.code in ("no_journal", "not_a_journal")
    assert (path.read_bytes() if path.exists() else None) == before
    assert path not in [link.resolve() for link in Path("/proc/self/fd").iterdir()], "it is closed"
    with pytest.raises(RelayError, match="no journal"):
        inspect.open_existing(tmp_path / "nowhere" / "relay.db")
    assert not (tmp_path / "nowhere").exists()


def test_the_journal_of_a_running_relay_is_left_alone(path: Path) -> None:
    """Two processes would work on one journal."""
    store = Store(path)
    try:
        with pytest.raises(JournalInUse):
            inspect.open_existing(path)
    finally:
        store.close()


def test_a_wal_without_its_journal_is_reported(tmp_path: Path) -> None:
    """Acknowledged events in a WAL would be overlooked."""
    (tmp_path / "relay.db-wal").write_bytes(b"x")
    with pytest.raises(JournalBroken, match="belong together"):
        inspect.open_existing(tmp_path / "relay.db")


def alter(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ('DELETE FROM events WHERE "offset" = 6', ["events_missing"]),
        ('DELETE FROM events WHERE "offset" <= 2', []),
        ("UPDATE checkpoints SET published = 3", ["unaccounted"]),
        ("UPDATE checkpoints SET published = 9", ["unaccounted"]),
        ("UPDATE checkpoints SET published = 3, absorbed = 1", []),
        ("UPDATE checkpoints SET published = 3, passed = 1", []),
        ("UPDATE events SET data = CAST('{' AS BLOB) WHERE \"offset\" = 1", ["damaged"]),
        ('UPDATE checkpoints SET "offset" = 99', ["damaged"]),
        ("UPDATE sqlite_sequence SET seq = 5 WHERE name = 'events'", ["damaged"]),
    ],
)
def test_loss_and_damage_are_found(path: Path, statement: str, expected: list[str]) -> None:
    """`relay journal verify` would call a journal good that has lost events."""
    alter(path, statement)
    assert codes(path) == expected


def tear(path: Path, table: str) -> None:
    """Overwrites the first page of a table."""
    db = sqlite3.connect(path)
    (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    db.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)


def test_a_torn_page_is_found(path: Path) -> None:
    """A damaged disk would show only when the relay reads that page."""
    tear(path, "dead_letters")
    assert set(codes(path)) == {"damaged"}


def test_a_journal_that_cannot_be_opened_comes_with_advice(path: Path) -> None:
    """The hint of `verify` for a damaged journal would be to run `verify`."""
    tear(path, "meta")
    with pytest.raises(JournalBroken) as broken:
        inspect.open_existing(path)
    assert "restore the journal" in broken.value.hint


def figures(ledger: SinkLedger, *missing: Span, last: int = 100) -> Figures:
    return Figures("j", last, 1, last, NOW, 1, 1, 0, (ledger,), missing)


@pytest.mark.parametrize(
    ("ledger", "missing", "expected"),
    [
        (SinkLedger("a", 50, 50, 0, 0, 0, 50), (), []),
        (SinkLedger("a", 50, 40, 1, 7, 2, 50), (), []),
        (SinkLedger("a", 50, 40, 1, 7, 1, 50), (), ["unaccounted"]),
        (SinkLedger("a", 50, 80, 0, 0, 0, 50), (), ["unaccounted"]),
        (SinkLedger("a", 50, 10, 0, 0, 40, 50), ((1, 40),), []),  # joined after the others' events were pruned
        (SinkLedger("a", 50, 50, 0, 0, 0, 40), ((45, 60),), ["events_missing"]),
        (SinkLedger("a", 60, 60, 0, 0, 0, 40), ((45, 60),), []),
    ],
)
def test_the_balance_finds_loss_and_cries_wolf_for_nothing_else(
    ledger: SinkLedger, missing: tuple[Span, ...], expected: list[str]
) -> None:
    """An operator would miss a loss, or learn to ignore the check."""
    assert [finding.code for finding in inspect.balance(figures(ledger, *missing))] == expected


def test_a_sink_that_is_not_configured_any_more_does_not_count() -> None:
    """Removing a sink would make every later check fail."""
    stale = figures(SinkLedger("old", 5, 5, 0, 0, 0, 0), (1, 90))
    assert inspect.balance(stale, ["kafka"]) == []
    assert inspect.balance(stale) != []


def test_what_is_missing_is_shown_as_spans(path: Path) -> None:
    """A hole in the middle would be taken for pruning."""
    alter(path, 'DELETE FROM events WHERE "offset" IN (1, 3, 4, 6)')
    assert looked_at(path).missing == ((1, 1), (3, 4), (6, 6))


def test_of_a_journal_that_holds_nothing_all_is_missing(path: Path) -> None:
    """A sink without the pruned events would be reported as lacking less than it does."""
    alter(path, "DELETE FROM events")
    assert looked_at(path).missing == ((1, 6),)


def test_the_offsets_that_a_new_identity_skips_are_no_loss(path: Path) -> None:
    """After a journal was restored from an older copy, every look at it would report events lost on every sink."""
    store = Store(path)
    store.fork(6, 900)
    store.close()
    assert (looked_at(path).missing, codes(path)) == ((), [])
    store = Store(path)
    store.append([draft("later"), draft("later still"), draft("latest")], NOW)
    store.close()
    assert (looked_at(path).missing, codes(path)) == ((), [])
    alter(path, 'DELETE FROM events WHERE "offset" IN (6, 901, 903)')  # on both sides of what is skipped, and the last
    assert looked_at(path).missing == ((6, 6), (901, 901), (903, 903))
    assert codes(path) == ["events_missing"] * 3


def test_entries_come_in_order_and_by_topic(path: Path) -> None:
    """An export would leave events out."""
    store = inspect.open_existing(path)
    try:
        assert [entry.offset for entry in store.each(2)] == [3, 4, 5, 6]
        assert [entry.offset for entry in store.each(topic="dead-letters")] == [6]
    finally:
        store.close()
