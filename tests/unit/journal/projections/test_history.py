"""When sinks got events, and how often facts were reported again: noted beside the events, and never at their cost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.journal.errors import JournalUnavailable
from relay.journal.plan import Plan
from relay.journal.projections import history as module
from relay.journal.projections.history import EVERY, QUIET, Found, History, Passage, Repetition
from relay.journal.rows import Progress
from relay.journal.store import Store
from relay.journal.volume import log_of
from tests.unit.drafts import draft

EVERYWHERE = list(range(1, 101))


def repeated(history: History, repetitions: list[tuple[int, str]], now: int) -> None:
    """A group was committed in which these facts were reported again."""
    group = Plan(0, now)
    group.repeated += repetitions
    history.committed(group)


@pytest.fixture
def history(store: Store) -> History:
    return store.projection(History)


def commit(store: Store, now: int, name: str = "") -> None:
    """A group with something new in it."""
    store.append([draft(name or f"task-{now}")], now)


def times(history: History, sink: str = "kafka") -> dict[int, int | None]:
    """The offsets of which something is noted, each with its time."""
    return {offset: found.at for offset, found in history.passages(sink, EVERYWHERE).items()}


def counted(history: History, *offsets: int) -> list[tuple[int, str, int]]:
    return [(each.offset, each.via, each.times) for each in history.repetitions(offsets or EVERYWHERE)]


def reopened(store: Store, path: Path) -> Store:
    """What a next start finds after ``kill -9``."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    shutil.copy(log_of(path), log_of(copy))
    return Store(copy)


@pytest.fixture
def rest(store: Store, path: Path) -> Iterator[list[Store]]:
    opened: list[Store] = []
    yield opened
    for each in opened:
        each.close()


# -- passages --------------------------------------------------------------------------------------------------


def test_an_event_has_the_time_of_the_passage_that_took_it(store: Store, history: History) -> None:
    """A publication would be shown with another batch's time, or another sink's."""
    history.passed(Passage("kafka", 3, 100))
    history.passed(Passage("redis", 2, 150))
    history.passed(Passage("kafka", 5, 200))
    for _ in range(2):  # in memory, then in the table
        assert times(history) == {1: 100, 2: 100, 3: 100, 4: 200, 5: 200}
        assert times(history, "redis") == {1: 150, 2: 150}
        commit(store, 10_000)


def test_what_waits_goes_with_a_commit_about_once_a_second(store: Store, history: History) -> None:
    """Each commit would write, and sync, pages of its own for what nobody waits for."""
    history.passed(Passage("kafka", 1, 100))
    commit(store, 5_000)
    history.passed(Passage("kafka", 2, 200))
    commit(store, 5_000 + EVERY - 1)
    rows = "SELECT count(*) FROM passages"
    assert store._db.execute(rows).fetchone() == (1,)
    commit(store, 5_000 + EVERY)
    assert store._db.execute(rows).fetchone() == (2,)


def test_a_clock_that_goes_back_stops_nothing(store: Store, history: History) -> None:
    """After a correction of the clock nothing would be written for as long as that was wrong."""
    commit(store, 1_000_000)
    history.passed(Passage("kafka", 1, 100))
    assert history.is_due(2_000_000)
    commit(store, 2_000_000)
    history.passed(Passage("kafka", 2, 100))
    assert history.is_due(1_000)


def test_a_quiet_journal_writes_in_the_end(store: Store, history: History) -> None:
    """The last events before a quiet night would lose their time by a kill in the morning."""
    store.write_what_waits(0)
    history.passed(Passage("kafka", 1, 100))
    store.write_what_waits(QUIET - 1)
    assert history.is_due(QUIET)
    store.write_what_waits(QUIET)
    assert not history.is_due(10 * QUIET)
    assert times(history) == {1: 100}


def test_a_crash_loses_the_last_times_only(store: Store, history: History, path: Path, rest: list[Store]) -> None:
    """A restart would forget where and when everything was published."""
    history.passed(Passage("kafka", 2, 100, [(1, "dead")]))
    commit(store, 5_000)
    history.passed(Passage("kafka", 4, 200))
    again = reopened(store, path)
    rest.append(again)
    assert again.query(History, History.passages, "kafka", [1, 2, 3]) == {1: Found(100, "dead"), 2: Found(100, None)}


def test_an_orderly_end_loses_nothing(store: Store, history: History, path: Path) -> None:
    """Each restart would cost the last seconds."""
    history.passed(Passage("kafka", 4, 200))
    repeated(history, [(1, "poll")], 5)
    store.close()
    again = Store(path)
    assert times(again.projection(History)) == {1: 200, 2: 200, 3: 200, 4: 200}
    assert counted(again.projection(History)) == [(1, "poll", 1)]
    again.close()


def test_what_was_not_committed_is_written_by_the_next(path: Path) -> None:
    """A full disk would lose times, or count repetitions twice."""
    store = Store(path, max_pages=70)
    store.projection(History).passed(Passage("kafka", 4, 200))
    repeated(store.projection(History), [(1, "poll")], 5)
    huge = draft("huge")
    with pytest.raises(JournalUnavailable):
        store.append([huge._replace(event=huge.event._replace(data=b'"%s"' % (b"x" * 10**6)))], 9_000)
    assert times(store.projection(History))[4] == 200
    assert counted(store.projection(History)) == [(1, "poll", 1)]
    commit(store, 20_000)
    assert not store.projection(History).is_due(30_000)
    assert (times(store.projection(History))[4], counted(store.projection(History))) == (200, [(1, "poll", 1)])
    store.close()


@pytest.mark.parametrize("written", ["none", "some", "all"])
def test_a_sink_that_lost_events_has_them_again_later(store: Store, history: History, written: str) -> None:
    """An event would be shown with the time at which it came first, though it was lost and came again."""
    history.passed(Passage("kafka", 3, 100, [(2, "dead")]))
    if written == "some":
        commit(store, 5_000)
    history.passed(Passage("kafka", 6, 200, [(5, "absorbed"), (6, "dead")]))
    if written == "all":
        commit(store, 5_000)
    history.rewound("kafka", 5)
    assert times(history) == {1: 100, 2: 100, 3: 100, 4: 200, 5: 200}
    history.passed(Passage("kafka", 8, 300))
    for _ in range(2):
        assert times(history) == {1: 100, 2: 100, 3: 100, 4: 200, 5: 200, 6: 300, 7: 300, 8: 300}
        found = history.passages("kafka", EVERYWHERE)
        assert {n: each.settled_as for n, each in found.items() if each.settled_as} == {2: "dead", 5: "absorbed"}
        commit(store, 50_000)
    history.rewound("kafka", 0)
    assert times(history).keys() <= {0}
    commit(store, 90_000)
    assert times(history) == {}


@pytest.mark.parametrize("lost", [2, 5])
def test_a_loss_is_written_at_once(store: Store, history: History, path: Path, rest: list[Store], lost: int) -> None:
    """After a kill, events that were lost and published again would keep their first time."""
    history.passed(Passage("kafka", 5, 100, [(4, "dead")]))
    commit(store, 5_000)
    history.rewound("kafka", lost)
    assert history.stale() == (lost < 5)
    store.write_what_waits(5_001)
    assert not history.stale()
    history.passed(Passage("kafka", 6, 200))
    again = reopened(store, path)
    rest.append(again)
    assert times(again.projection(History)) == dict.fromkeys(range(1, lost + 1), 100)


def test_the_furthest_of_several_losses_counts(store: Store, history: History) -> None:
    """What was lost first, and came again, would be shown with the time at which it came before that."""
    history.passed(Passage("kafka", 8, 100))
    commit(store, 5_000)
    history.rewound("kafka", 2)
    history.passed(Passage("kafka", 6, 200))
    history.rewound("kafka", 5)
    for _ in range(2):
        assert times(history) == {1: 100, 2: 100, 3: 200, 4: 200, 5: 200}
        commit(store, 50_000)


@pytest.mark.parametrize("between", [False, True])
def test_rewinds_to_where_a_passage_ended_change_nothing_before(store: Store, history: History, between: bool) -> None:
    """Reopening a sink, which reports its position, would give old events a later time."""
    history.passed(Passage("kafka", 3, 100))
    commit(store, 5_000)
    history.passed(Passage("kafka", 6, 200))
    history.rewound("kafka", 3)
    if between:
        commit(store, 6_000)
    history.rewound("kafka", 3)
    history.passed(Passage("kafka", 3, None))
    history.passed(Passage("kafka", 6, 300))
    commit(store, 60_000)
    assert times(history) == {1: 100, 2: 100, 3: 100, 4: 300, 5: 300, 6: 300}


def test_what_a_sink_reports_after_a_crash_has_no_time(store: Store, history: History) -> None:
    """An event would get the time of a restart for that of its publication."""
    history.passed(Passage("kafka", 3, 100))
    history.passed(Passage("kafka", 5, None))
    history.passed(Passage("kafka", 6, 300))
    for _ in range(2):
        assert times(history) == {1: 100, 2: 100, 3: 100, 4: None, 5: None, 6: 300}
        commit(store, 10_000)


def test_what_cannot_be_written_for_long_loses_its_times(
    store: Store, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk would fill the memory, too."""
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    for n in range(1, 15):
        history.passed(Passage("kafka", n, n * 10))
    assert times(history) == dict.fromkeys(range(1, 13)) | {13: 130, 14: 140}


# -- repetitions -----------------------------------------------------------------------------------------------


def test_repetitions_are_counted_by_fact_and_by_way(store: Store, history: History) -> None:
    """Nobody could see how often a webhook came, or that a poll found nothing new."""
    webhook = draft("a")._replace(via="webhook")
    contradiction = draft("a", says="b")._replace(via="webhook")
    store.append([webhook], 100)
    store.append([webhook, webhook, webhook._replace(via="poll")], 200)
    store.append([contradiction, draft("b")], 5_000)
    store.append([contradiction, webhook, draft("c")], 9_000)
    store.append([webhook], 9_500)
    assert store.query(History, History.repetitions, [1, 2]) == [
        Repetition(1, "poll", 1, 200, 200),
        Repetition(1, "webhook", 4, 200, 9_500),
        Repetition(2, "webhook", 1, 9_000, 9_000),
    ]


def test_what_is_not_an_observation_is_not_counted(store: Store, history: History) -> None:
    """What the relay itself writes again, after a crash, would look like a delivery."""
    store.append([draft("a"), draft("a")], 100)
    assert counted(history) == []


def test_repetitions_alone_write_nothing(store: Store, history: History, path: Path) -> None:
    """Each repetition would cost a sync, which is what makes absorbing them cheap."""
    again = draft("a")._replace(via="webhook")
    store.append([again], 100)
    size = log_of(path).stat().st_size
    data = log_of(path).read_bytes()
    for n in range(20):
        store.append([again], 5_000 * n)
    assert (log_of(path).stat().st_size, log_of(path).read_bytes()) == (size, data)
    assert counted(history) == [(1, "webhook", 20)]
    store.append([again], 200_000, {"kafka": Progress(1, 1, 0)})
    assert log_of(path).read_bytes() != data


def test_a_storm_is_counted_in_bounded_memory(store: Store, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storm of redeliveries would fill the memory, or hold up the commits by its counts."""
    monkeypatch.setattr(module, "MAX_WAITING", 6)
    monkeypatch.setattr(module, "STEP", 2)
    repeated(history, [(n, "webhook") for n in range(1, 11)], 5)
    repeated(history, [(1, "webhook"), (1, "poll"), (10, "webhook")], 6)
    assert counted(history) == [(1, "poll", 1), (1, "webhook", 2), *((n, "webhook", 1) for n in range(2, 7))]
    for step in range(3):
        commit(store, 5_000 + 100 * step)  # sooner than once a second, while much waits
    assert len(history._repeated) == 2
    assert counted(history) == [(1, "poll", 1), (1, "webhook", 2), *((n, "webhook", 1) for n in range(2, 7))]


def test_history_goes_with_the_events(store: Store, history: History) -> None:
    """It would grow forever."""
    store.append([draft(name)._replace(via="webhook") for name in "abcd"] * 2, 100, {"kafka": Progress(4, 4, 0)})
    history.passed(Passage("kafka", 2, 100, [(1, "dead"), (2, "absorbed")]))
    history.passed(Passage("kafka", 4, 200, [(3, "dead")]))
    commit(store, 9_000)
    while store.merge_dedup():
        pass
    assert store.prune(floor=2, older_than=101, over_size=1 << 60, chunk=2) == 2
    counts = [
        store._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("passages", "passage_exceptions", "repetitions")
    ]
    assert counts == [1, 1, 2]
    assert times(history) == {1: 200, 2: 200, 3: 200, 4: 200}
