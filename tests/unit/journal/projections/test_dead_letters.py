from __future__ import annotations

from relay.core.dead import refused_draft
from relay.core.sink import Refused
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.store import Store
from tests.unit.drafts import dead_draft, draft


def test_a_delivery_is_kept_as_it_came_and_once(store: Store) -> None:
    """Broken: an operator could not see what was sent, or each repetition would be another letter."""
    for at in (1, 2):
        store.append([dead_draft("dead-1", b'{"raw":"\xc3\xa9"}')], at)
    letters = store.projection(DeadLetters)
    found = letters.find("dead-1")
    assert found is not None
    assert (found.raw, found.accepted_at, found.event_offset, found.event) == (b'{"raw":"\xc3\xa9"}', 1, None, None)
    assert letters.count() == 1
    assert letters.find("dead-2") is None


def test_a_refused_event_is_kept_with_its_attributes_under_its_subject(store: Store) -> None:
    """Broken: it could not be replayed once the event is pruned, or would be missing from its task's timeline."""
    store.append([draft("t1", data=b"[1]")], 1)
    [entry] = store.read(0, 1, 1 << 20)
    refused = refused_draft(entry, Refused("too_large", "?"), origin="kafka", refused_at=1)
    store.append([refused, dead_draft()], 2)
    [found] = store.projection(DeadLetters).about("t1", 10)
    assert (found.id, found.origin, found.reason, found.event_offset, found.raw) == (
        refused.event.id,
        "kafka",
        "too_large",
        1,
        None,
    )
    assert found.event == {"topic": entry.event.topic, **dict(entry.event.attributes())}


def test_a_page_goes_on_behind_an_id_without_the_bytes(store: Store) -> None:
    """Broken: the list would repeat or skip letters, or one page hold a hundred megabytes."""
    store.append([dead_draft(f"dead-{n}", b"x" * n) for n in (3, 1, 2)], 1)
    letters = store.projection(DeadLetters)
    assert [(each.id, each.raw_bytes, each.raw) for each in letters.page("", 2)] == [
        ("dead-1", 1, None),
        ("dead-2", 2, None),
    ]
    assert [each.id for each in letters.page("dead-2", 2)] == ["dead-3"]


def test_the_oldest_go_first_and_none_that_is_young_enough(store: Store) -> None:
    """Broken: a letter would go before its time, or the journal never get smaller."""
    letters = store.projection(DeadLetters)
    assert letters.oldest_at() is None
    for at in (30, 10, 20):
        store.append([dead_draft(f"dead-{at}")], at)
    assert letters.oldest_at() == 10
    assert store.execute(letters.expire, 30, 1) == 1
    assert [each.id for each in letters.page("", 10)] == ["dead-20", "dead-30"]
    assert store.execute(letters.expire, 30, 10) == 1
    assert [each.id for each in letters.page("", 10)] == ["dead-30"]
