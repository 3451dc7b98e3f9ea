from __future__ import annotations

import pytest

from relay.core.publishing.lineage import (
    MAX_FORKS,
    Fork,
    Lineage,
    Names,
    Resume,
    Succession,
    bounded,
    earlier,
    resume,
    succession,
)
from relay.core.sink import MAX_EARLIER, Checkpoint, Inheritance, Name

LINEAGE = Lineage("now", (Fork("before", 30, published={"other": 90}),), opened_at=50, first_offset=1)


def test_all_that_descend_from_a_journal_have_its_origin() -> None:
    """P4 broken: a replica whose journal got a new id would not know its own claims, and wait for itself."""
    first = Lineage("first", (), opened_at=0, first_offset=1)
    third = Lineage("third", (Fork("first", 10), Fork("second", 20)), opened_at=30, first_offset=1)
    assert (first.origin, third.origin) == ("first", "first")


@pytest.mark.parametrize(
    ("held", "attempted", "expected"),
    [
        (None, 0, Resume(0, empty=True)),
        (Checkpoint("now", 20), 0, Resume(20)),
        (Checkpoint("now", 50), 0, Resume(50)),
        (Checkpoint("now", 60), 60, Resume(60)),
        (Checkpoint("now", 60), 0, Resume(50, "older_copy", dead=None, absorbed=None)),
        (Checkpoint("now", 61), 60, Resume(50, "older_copy", dead=None, absorbed=None)),
        (Checkpoint("before", 20), 0, Resume(20)),
        (Checkpoint("before", 70), 0, Resume(30, dead=None, absorbed=None)),
        (Checkpoint("before", 35), 40, Resume(30, dead=None, absorbed=None)),
        (Checkpoint("stranger", 20), 0, Resume(0, "other_journal", empty=True)),
    ],
    ids=[
        "a new sink gets everything",
        "the usual case",
        "all of it",
        "what this process published since it opened the file",
        "an older copy of the file",
        "an older copy although this process has published, too",
        "before the fork both copies are the same",
        "after the fork they are not",
        "an attempt under the present identity proves nothing of an earlier one",
        "another volume",
    ],
)
def test_where_to_go_on(held: Checkpoint | None, attempted: int, expected: Resume) -> None:
    """TRAP J. Broken: new events would be taken for published and lost, or published ones be repeated."""
    assert resume(held, LINEAGE, "mine", attempted) == expected


def test_what_a_sink_had_from_this_file_before_the_fork_stays_its_own() -> None:
    """Broken: when one sink shows that the journal is an older copy, the others would get again what they have."""
    assert resume(Checkpoint("before", 70), LINEAGE, "other", 0) == Resume(70)
    assert resume(Checkpoint("before", 95), LINEAGE, "other", 0).after == 90


def test_the_sinks_counts_hold_where_its_offset_does() -> None:
    """Broken: after a crash the loss balance would count refused events as published, or the other way round."""
    assert resume(Checkpoint("now", 20, 2, 3), LINEAGE, "mine", 0) == Resume(20, dead=2, absorbed=3)
    assert resume(Checkpoint("before", 20, 2, 3), LINEAGE, "mine", 0) == Resume(20, dead=2, absorbed=3)
    assert resume(Checkpoint("now", 60, 2, 3), LINEAGE, "mine", 0).dead is None
    assert resume(Checkpoint("stranger", 20, 2, 3), LINEAGE, "mine", 0).dead == 0


def test_what_is_not_held_any_more_is_counted() -> None:
    """Broken: a sink that lost more than the journal retains would have a gap that nobody hears of."""
    pruned = Lineage("now", (), opened_at=50, first_offset=41)
    assert resume(Checkpoint("now", 20), pruned, "mine", 0) == Resume(40, missing=20)
    assert resume(None, pruned, "mine", 0) == Resume(40, empty=True)
    assert resume(Checkpoint("now", 45), pruned, "mine", 0) == Resume(45)


def test_a_journal_that_comes_back_goes_on_where_it_was() -> None:
    """Broken: P2: a relay that was started once without its volume would publish all of it again afterwards."""
    held = Checkpoint("stranger", 7, earlier=(Checkpoint("now", 20, 2, 3), Checkpoint("before", 25)))
    assert resume(held, LINEAGE, "mine", 0) == Resume(20, dead=2, absorbed=3)
    assert resume(Checkpoint("stranger", 7, earlier=(Checkpoint("before", 70),)), LINEAGE, "mine", 0).after == 30


def test_what_was_handed_over_is_no_proof_of_an_older_copy() -> None:
    """Broken: a relay whose clone took over what both have would publish again what it had published itself."""
    lineage = Lineage("now", (), opened_at=10, first_offset=1, last_offset=40)
    assert resume(Checkpoint("now", 30, handed_over=True), lineage, "mine", 20) == Resume(30)
    assert resume(Checkpoint("now", 50, handed_over=True), lineage, "mine", 20).finding == "older_copy"


def test_the_places_of_other_journals_are_remembered_up_to_a_limit() -> None:
    """Broken: the place of a journal whose volume is away would be forgotten, or checkpoints grow without end."""
    others = tuple(Checkpoint(f"j{n}", n) for n in range(MAX_EARLIER))
    held = Checkpoint("last", 9, earlier=others, handed_over=True)
    assert earlier(held, "now") == (Checkpoint("last", 9), *others[:-1])
    assert earlier(held, "j0") == (Checkpoint("last", 9), *others[1:])
    assert earlier(held, "last") == others
    assert earlier(None, "now") == ()


def names_of(held: Checkpoint | None, lineage: Lineage, label: str) -> list[tuple[Name, Inheritance]]:
    return list(lineage.inheritances(held, label))


MOVED = Lineage(
    "c",
    (Fork("a", 10, identity="one", sinks={"kafka": "kafka"}), Fork("b", 20, published={"kafka": 25})),
    opened_at=30,
    first_offset=1,
    names=Names("two", {"kafka": "kafka"}),
)


def test_former_names_are_asked_for_a_place_until_the_present_one_knows() -> None:
    """Broken: after a change of the identity everything is published again, or a checkpoint that holds is ignored."""
    under_one = (Name("one", "kafka"), Inheritance("a", 10, "c"))
    assert names_of(None, MOVED, "kafka") == [under_one]
    assert names_of(Checkpoint("x", 5), MOVED, "kafka") == [under_one]
    assert names_of(Checkpoint("c", 5), MOVED, "kafka") == []
    assert names_of(Checkpoint("b", 5), MOVED, "kafka") == [], "b was published under the present name, too"
    assert names_of(None, MOVED, "redis") == [], "a sink that is new has no former name"


def test_a_journal_that_turned_out_to_be_a_copy_was_published_under_the_names_of_its_time() -> None:
    """Broken: after a fork and a change of the identity the place would be looked for under the wrong name."""
    later = Lineage("d", (*MOVED.forks, Fork("c", 30, identity="two", sinks=MOVED.names.sinks)), 40, 1, 40)
    lineage = Lineage("d", later.forks, 40, 1, 40, Names("three", {"kafka": "kafka"}))
    assert names_of(None, lineage, "kafka") == [
        (Name("two", "kafka"), Inheritance("c", 30, "d")),
        (Name("two", "kafka"), Inheritance("b", 25, "d")),
        (Name("one", "kafka"), Inheritance("a", 10, "d")),
    ]


def test_a_label_follows_the_type_of_its_sink() -> None:
    """Broken: a renamed sink would look new, or two sinks of different types be taken for one another."""
    before = Names("one", {"kafka": "kafka", "redis": "redis"})
    now = Names("one", {"main": "kafka", "redis": "redis"})
    assert now.changed_since(before)
    assert list(before.before("main", now)) == [Name("one", "kafka")]
    assert list(before.before("redis", now)) == [Name("one", "redis")]
    assert not Names("one", {"redis": "redis"}).changed_since(before), "a sink that is gone is not renamed"
    assert not Names("one", {**before.sinks, "second": "other"}).changed_since(before), "nor is one that is new"
    assert Names("two", before.sinks).changed_since(before)


@pytest.mark.parametrize(
    ("place", "own", "expected"),
    [
        (Checkpoint("a", 6, 1, 2), None, (Checkpoint("c", 6, 1, 2), Checkpoint("a", 10, 1, 2, handed_over=True))),
        (Checkpoint("a", 10, 1, 2), None, (Checkpoint("c", 10, 1, 2), None)),
        (Checkpoint("a", 15, 5, 5), None, (Checkpoint("c", 10, 3, 4), None)),
        (
            Checkpoint("a", 6, earlier=(Checkpoint("z", 1),)),
            Checkpoint("x", 3),
            (
                Checkpoint("c", 6, earlier=(Checkpoint("x", 3),)),
                Checkpoint("a", 10, earlier=(Checkpoint("z", 1),), handed_over=True),
            ),
        ),
    ],
    ids=["what both have is handed over", "all of it is published", "the original went on", "others keep their places"],
)
def test_what_is_taken_over(
    place: Checkpoint, own: Checkpoint | None, expected: tuple[Checkpoint, Checkpoint | None]
) -> None:
    """Broken: what a volume and its clone both hold would be published by both of them, or by none."""
    assert succession(place, place, Inheritance("a", 10, "c", 3, 4), own) == Succession(*expected)


def test_a_former_name_may_have_gone_on_with_another_journal() -> None:
    """Broken: a volume that was away when the former name published last would be published again."""
    held = Checkpoint("y", 3, earlier=(Checkpoint("z", 1), Checkpoint("a", 6)))
    place = held.of("a")
    assert place is not None
    taken = succession(held, place, Inheritance("a", 10, "c"), None)
    assert taken.heir == Checkpoint("c", 6)
    assert taken.former is not None
    assert taken.former.of("a") == Checkpoint("a", 10, handed_over=True)
    assert taken.former.of("z") == Checkpoint("z", 1)


def test_the_list_of_former_ids_is_bounded() -> None:
    """Broken: a container with a new host name at each start would grow its journal's lineage forever."""
    forks = [Fork(f"j{n}", n, n, n + (n == 5)) for n in range(3 * MAX_FORKS)]
    kept = bounded(forks)
    assert len(kept) == MAX_FORKS + 1
    assert kept[0] == forks[0], "the origin"
    assert forks[5] in kept, "skipped offsets are counted"
    assert kept[-1] == forks[-1]
