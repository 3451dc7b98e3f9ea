from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.store import Store
from tests.unit.drafts import dead_draft, draft

NEVER = 1 << 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "j.db")
    yield found
    found.close()


def accept(store: Store, *stamps: int) -> None:
    """One event at each of these instants, as the clock had them."""
    first = store.last_offset
    for n, stamp in enumerate(stamps, 1):
        store.append([draft(str(first + n))], stamp)
    while store.merge_dedup():
        pass


def pruned(store: Store, older_than: int, *, chunk: int = 500, over_size: int = NEVER) -> int:
    """How many go in all."""
    total = 0
    while gone := store.prune(floor=store.last_offset, older_than=older_than, over_size=over_size, chunk=chunk):
        total += gone
    return total


@pytest.mark.parametrize("chunk", [1, 2, 500])
@pytest.mark.parametrize(
    ("stamps", "gone"),
    [
        pytest.param([9_000_000, 10, 20, 30], 3, id="ahead at the beginning"),
        pytest.param([10, 9_000_000, 20, 30], 3, id="ahead in between"),
        pytest.param([9_000_000] * 40 + [10, 20] + [30] * 40, 42, id="ahead for long"),
        pytest.param([9_000_000] * 3 + [30] * 5, 0, id="those after it are young"),
        pytest.param([9_000_000, 9_000_001], 0, id="nothing came after it"),
        pytest.param([30, 10, 30], 0, id="behind, and young before it"),
        pytest.param([10, 20, 30], 2, id="a clock that is right"),
    ],
)
def test_an_event_is_as_old_as_those_that_came_after_it(store: Store, stamps: list[int], gone: int, chunk: int) -> None:
    """Broken: one event of a moment in which the clock was ahead would stop all pruning until that time has come."""
    accept(store, *stamps)
    assert pruned(store, older_than=25, chunk=chunk) == gone


def test_gaps_between_offsets_mislead_nobody(store: Store) -> None:
    """Broken: a fork's gap in the offsets would end the look for the first event after the clock was right again."""
    accept(store, 9_000_000, 9_000_000)
    store.fork(2, 1000)
    accept(store, 10, 20, 30)
    assert pruned(store, older_than=25) == 4


def bury(store: Store, *stamps: int) -> None:
    for stamp in stamps:
        store.append([dead_draft(f"dead at {stamp}", raw=b"x" * 1000)], stamp)
    while store.merge_dedup():
        pass


def test_dead_letters_expire(store: Store) -> None:
    """Broken: dead letters are kept forever, and eat the room of everything else."""
    bury(store, 10, 20, 30)
    assert store.prune_dead_letters(older_than=25, over_size=NEVER, floor=store.last_offset) == (2, "age")
    assert store.prune_dead_letters(older_than=25, over_size=NEVER, floor=store.last_offset) == (0, "age")
    assert [letter.accepted_at for letter in store.projection(DeadLetters).page("", 10)] == [30]


def test_a_journal_that_is_too_large_forgets_the_oldest_first_whatever_it_is(store: Store) -> None:
    """Broken: max_size is no bound: dead letters stay, and events that are younger than they go."""
    bury(store, 10, 20)
    accept(store, 30, 40)
    bury(store, 50)
    floor = store.last_offset
    assert store.prune_dead_letters(older_than=0, over_size=0, floor=floor) == (0, "size")  # their events are older yet
    assert store.prune(floor=2, older_than=0, over_size=0) == 2
    assert store.prune_dead_letters(older_than=0, over_size=0, floor=floor) == (2, "size")
    assert store.prune(floor=floor, older_than=0, over_size=0) == 3
    assert store.prune_dead_letters(older_than=0, over_size=0, floor=floor) == (1, "size")


def test_dead_letters_go_when_no_event_may(store: Store) -> None:
    """Broken: with a sink away a journal full of dead letters refuses deliveries for want of room; or they go although
    an event could."""
    bury(store, 10)
    assert store.prune_dead_letters(older_than=0, over_size=0, floor=1) == (0, "size")
    assert store.prune_dead_letters(older_than=0, over_size=0, floor=0) == (1, "size")


def test_a_sweep_goes_on_where_the_last_process_was(tmp_path: Path) -> None:
    """Broken: a relay that is restarted often sweeps the first keys again and again, and never the others."""
    store = Store(tmp_path / "j.db")
    accept(store, *[10] * 30)
    assert store.swept == b""
    at = store.sweep_dedup(b"", older_than=25, step=10)
    store.close()
    again = Store(tmp_path / "j.db")
    assert again.swept == at
    while at:
        at = again.sweep_dedup(at, older_than=25, step=10)
    assert again.swept == b""
    assert again._one("SELECT count(*) FROM dedup") == 0
    again.close()
