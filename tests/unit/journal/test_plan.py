from __future__ import annotations

from collections.abc import Sequence

from relay.core.event import Draft
from relay.journal.plan import Known, Plan
from tests.unit.drafts import dead_draft, draft


class Index:
    """A dedup index that remembers what it was asked."""

    def __init__(self, known: Known | None = None) -> None:
        self.known = known or {}
        self.asked: list[int] = []

    def look_up(self, keys: Sequence[bytes]) -> Known:
        self.asked.append(len(keys))
        return {key: self.known[key] for key in keys if key in self.known}


def planned(index: Index, *drafts: Draft, last_offset: int = 10) -> Plan:
    plan = Plan(last_offset, now=5)
    plan.add_all(drafts, index.look_up)
    return plan


def test_new_facts_get_the_next_offsets_and_one_look_up_serves_the_group() -> None:
    """Broken: a group would pay one look-up per event, or two events would share an offset."""
    index = Index()
    plan = planned(index, draft("a"), draft("b"))
    assert [entry.offset for entry in plan.entries] == [11, 12]
    assert [offset for _, _, offset in plan.new_keys] == [11, 12]
    assert (plan.last_offset, index.asked) == (12, [2])


def test_repetitions_in_one_group_are_absorbed_like_earlier_ones() -> None:
    """Broken: two copies that arrive together would both be published."""
    plan = planned(Index({draft("old").key: (b"a", 3)}), draft("a"), draft("a"), draft("old"))
    assert [(r.result, r.offset) for r in plan.receipts] == [("accepted", 11), ("duplicate", 11), ("duplicate", 3)]
    assert len(plan.entries) == 1


def test_a_contradiction_is_looked_up_under_its_own_key() -> None:
    """Broken: a contradiction that was published before would be published again after a restart."""
    index = Index({draft("t").key: (b"a", 3)})
    first = planned(index, draft("t", says="b"))
    assert [entry.event.type for entry in first.entries] == ["relay.task.conflicted"]
    key, fingerprint, offset = first.new_keys[0]
    index.known[key] = (fingerprint, offset)
    again = planned(index, draft("t", says="b"), last_offset=11)
    assert [(r.result, r.offset) for r in again.receipts] == [("duplicate", 11)]
    assert again.entries == []


def test_a_dead_letter_is_receipted_as_dead_and_kept() -> None:
    """Broken: an unreadable delivery would be reported as accepted, or its bytes would be lost."""
    plan = planned(Index(), dead_draft("dead-1"), dead_draft("dead-1"))
    assert [receipt.result for receipt in plan.receipts] == ["dead", "duplicate"]
    assert [(letter.id, subject) for letter, subject in plan.dead] == [("dead-1", "dead-1")]
