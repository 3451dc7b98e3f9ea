from __future__ import annotations

from pathlib import Path

import pytest

from relay.journal.errors import JournalUnavailable
from relay.journal.journal import Journal, Policy, open_journal
from relay.journal.rows import SavedCheckpoint, Shown
from relay.journal.store import Store
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.drafts import draft
from tests.unit.journal.journals import fill, opened, under


async def test_what_a_sink_catches_up_on_is_no_backlog(tmp_path: Path) -> None:
    """Broken: a sink that is added, returns, or has lost everything turns every delivery into a 503."""
    path, policy = tmp_path / "j.db", Policy(max_backlog=5)

    async def opened_with(*sinks: str) -> Journal:
        return await open_journal(path, sinks, policy, JournalSignals(Telemetry()), names=under(*sinks))

    journal = await opened_with("a")
    for start in range(0, 20, 4):
        await fill(journal, 4, start)
        journal.progress.advance("a", start + 4, published=4, dead=0)
    await journal.close()

    journal = await opened_with("a", "b")  # added
    assert (journal.progress.pending("b"), journal.progress.backlog(), journal.progress.floor()) == (20, 0, 0)
    await fill(journal, 3, 20)
    assert journal.progress.backlog() == 3
    await journal.close()

    journal = await opened_with("a", "b")  # what has come since it is there counts, whatever restarts
    assert (journal.progress.pending("b"), journal.progress.backlog()) == (23, 3)
    for sink in ("a", "b"):
        journal.progress.advance(sink, 23, published=journal.progress.pending(sink), dead=0)
    await fill(journal, 2, 23)
    await journal.progress.recount("b", Shown(0, empty=True))  # it has lost everything
    assert (journal.progress.pending("b"), journal.progress.backlog()) == (25, 2)
    for sink in ("a", "b"):
        journal.progress.advance(sink, 25, published=journal.progress.pending(sink), dead=0)
    left = journal.progress.saved("b")
    await journal.close()

    journal = await opened_with("a")
    for start in range(25, 45, 4):
        await fill(journal, 4, start)
        journal.progress.advance("a", start + 4, published=4, dead=0)
    await journal.close()
    journal = await opened_with("a", "b")  # it has returned
    returned = journal.progress.saved("b")
    assert (returned.published, returned.dead) == (left.published, left.dead)
    assert (journal.progress.pending("b"), journal.progress.backlog()) == (20, 0)
    await fill(journal, 5, 45)
    with pytest.raises(JournalUnavailable):
        journal.append(draft("more"))
    await journal.close()


async def test_the_slowest_sink_decides_what_may_go(tmp_path: Path) -> None:
    """Broken: retention would look at one sink and delete what another has not got."""
    journal = await opened(tmp_path / "j.db", "kafka", "redis")
    await fill(journal, 4)
    journal.progress.advance("kafka", 4, published=4, dead=0)
    progress = journal.progress
    assert (progress.floor(), progress.backlog(), progress.pending("kafka"), progress.pending("redis")) == (0, 4, 0, 4)
    journal.progress.advance("redis", 2, published=2, dead=0)
    assert journal.progress.floor() == 2
    await journal.progress.recount("kafka", Shown(1))
    assert (journal.progress.floor(), journal.progress.saved("kafka").published) == (1, 1)
    await journal.progress.recount("kafka", Shown(3))
    assert (journal.progress.floor(), journal.progress.saved("kafka").published) == (2, 3)
    await journal.close()


async def test_positions_survive_a_restart(tmp_path: Path) -> None:
    """Broken: after a restart without its sink the relay would not know what may be pruned."""
    journal = await opened(tmp_path / "j.db", "kafka")
    await fill(journal, 4)
    journal.progress.advance("kafka", 3, published=2, dead=1)
    await journal.close()
    again = await opened(tmp_path / "j.db", "kafka", "redis")
    assert (again.progress.position("kafka"), again.progress.position("redis")) == (3, 0)
    assert (again.progress.saved("kafka").published, again.progress.saved("kafka").dead) == (2, 1)
    await again.close()


async def test_the_age_of_the_oldest_pending_event_is_known(tmp_path: Path) -> None:
    """Broken: relay_publish_lag_seconds would not see events that are about to expire."""
    journal = await opened(tmp_path / "j.db", "kafka")
    assert await journal.progress.oldest_pending_at("kafka") is None
    await fill(journal, 3)
    first, second = (entry.accepted_at for entry in (await journal.events.read(0, 2)))
    assert await journal.progress.oldest_pending_at("kafka") == first
    journal.progress.advance("kafka", 1, published=1, dead=0)
    assert await journal.progress.oldest_pending_at("kafka") == second
    await journal.close()


async def test_what_was_tried_counts_for_the_identity_that_it_was_tried_under(tmp_path: Path) -> None:
    """TRAP J. Broken: an attempt would vouch for a checkpoint that another identity has left on the sink."""
    journal = await opened(tmp_path / "j.db", "kafka", "redis")
    await fill(journal, 3)
    assert journal.progress.attempted("kafka") == 0
    await journal.progress.attempt("kafka", 3)
    await journal.progress.attempt("kafka", 2)  # tried again in smaller batches
    assert (journal.progress.attempted("kafka"), journal.progress.attempted("redis")) == (3, 0)
    await journal.progress.fork("redis", 5_000)
    assert journal.progress.attempted("kafka") == 0
    await journal.close()


def balance(journal: Journal, sink: str) -> tuple[int, int]:
    """What was accepted, and the sum of where it is."""
    progress, saved = journal.progress, journal.progress.saved(sink)
    return progress.accepted(sink), saved.published + progress.pending(sink) + saved.dead + saved.absorbed


async def test_the_offsets_that_a_new_identity_skips_are_counted_as_no_event(tmp_path: Path) -> None:
    """P5 broken: after a restore the gauges would show events that never were, and a sink that is away would turn
    webhooks off with a backlog of nothing."""
    journal = await opened(tmp_path / "j.db", "kafka", policy=Policy(max_backlog=100))
    await fill(journal, 3)
    journal.progress.advance("kafka", 2, published=2, dead=0)
    await journal.progress.fork("none", 5_000)
    await fill(journal, 2, start=3)
    assert (journal.events.count(), journal.progress.pending("kafka"), journal.progress.backlog()) == (5, 3, 3)
    assert journal.accepting() is None
    assert balance(journal, "kafka") == (5, 5)
    journal.progress.advance("kafka", 5_002, published=3, dead=0)
    assert balance(journal, "kafka") == (5, 5)
    await journal.close()
    again = await opened(tmp_path / "j.db", "kafka")
    assert (again.events.count(), balance(again, "kafka")) == (5, (5, 5))
    await again.progress.recount("kafka", Shown(1))
    assert (again.progress.pending("kafka"), balance(again, "kafka")) == (4, (5, 5))
    await again.close()


async def test_the_balance_knows_whose_events_are_whose(tmp_path: Path) -> None:
    """P5 broken: a replay to one sink would be an event that the others never get."""
    journal = await opened(tmp_path / "j.db", "kafka", "redis")
    await fill(journal, 2)
    await journal.append(draft("replayed")._replace(sink="redis"))
    await fill(journal, 1, start=2)
    assert (journal.progress.pending("kafka"), journal.progress.pending("redis")) == (3, 4)
    journal.progress.advance("kafka", 4, published=2, dead=0, absorbed=1)
    journal.progress.advance("redis", 4, published=3, dead=1)
    assert (balance(journal, "kafka"), balance(journal, "redis")) == ((3, 3), (4, 4))
    assert journal.progress.saved("kafka") == SavedCheckpoint(4, 2, 0, 1, 1)
    await journal.close()


async def test_an_event_that_a_sink_was_never_given_shows_in_the_balance(tmp_path: Path) -> None:
    """P5 broken: the sum would be made to fit, and hide the loss that it is there to show."""
    journal = await opened(tmp_path / "j.db", "kafka")
    await fill(journal, 4)
    journal.progress.advance("kafka", 4, published=3, dead=0)
    assert balance(journal, "kafka") == (4, 3)
    await journal.close()


async def test_a_sink_that_joins_late_counts_from_there(tmp_path: Path) -> None:
    """P5 broken: what was pruned before a sink was there would be missing on it forever."""
    journal = await opened(tmp_path / "j.db", "kafka")
    await fill(journal, 6)
    journal.progress.advance("kafka", 4, published=4, dead=0)
    await journal.close()
    store = Store(tmp_path / "j.db")
    store.merge_dedup()
    assert store.prune(floor=4, older_than=1 << 60, over_size=1 << 60) == 4
    store.close()
    for _ in range(2):  # known from the first start on, published or not
        journal = await opened(tmp_path / "j.db", "kafka", "redis")
        assert (balance(journal, "kafka"), balance(journal, "redis")) == ((6, 6), (2, 2))
        assert journal.progress.saved("redis").passed == 4
        await journal.close()
