from __future__ import annotations

from relay.core.dedup import KEY_BYTES, judge, key_of
from tests.unit.drafts import draft


def test_the_same_statement_again_is_a_duplicate() -> None:
    """Broken: a redelivered webhook would be published a second time."""
    assert judge(draft(says="a"), b"a") is None


def test_another_statement_becomes_a_conflict_of_its_own() -> None:
    """Broken: a delivery that contradicts the first would be swallowed, or would repeat the first event's id."""
    conflict = judge(draft("t1", says="b"), b"a")
    assert conflict is not None
    assert conflict.event.type == "relay.task.conflicted"
    assert conflict.event.id.startswith("t1:conflicted:")
    assert conflict.key != draft("t1").key


def test_the_same_contradiction_twice_has_one_key() -> None:
    """Broken: each redelivery of a contradiction would be published again."""
    first, second = judge(draft(says="b"), b"a"), judge(draft(says="b"), b"a")
    other = judge(draft(says="c"), b"a")
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.key == second.key != other.key
    assert first.event.id == second.event.id != other.event.id


def test_a_fact_without_contradictions_is_only_ever_a_duplicate() -> None:
    """Broken: a repeated dead letter or replay would raise a conflict that no type exists for."""
    assert judge(draft(says="b", conflict=False), b"a") is None


def test_keys_do_not_run_together() -> None:
    """Broken: parts that join to the same text ("a"+"bc", "ab"+"c") would make two facts one."""
    assert key_of("a", "bc") != key_of("ab", "c")
    assert len(key_of("x")) == KEY_BYTES
