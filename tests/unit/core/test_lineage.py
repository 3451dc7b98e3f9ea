from __future__ import annotations

import pytest

from relay.core.lineage import Fork, Lineage, Resume, resume
from relay.core.sink import Checkpoint

LINEAGE = Lineage("now", (Fork("before", 30, published={"other": 90}),), opened_at=50, first_offset=1)


@pytest.mark.parametrize(
    ("held", "attempted", "expected"),
    [
        (None, 0, Resume(0)),
        (Checkpoint("now", 20), 0, Resume(20)),
        (Checkpoint("now", 50), 0, Resume(50)),
        (Checkpoint("now", 60), 60, Resume(60)),
        (Checkpoint("now", 60), 0, Resume(50, "older_copy", dead=None, absorbed=None)),
        (Checkpoint("now", 61), 60, Resume(50, "older_copy", dead=None, absorbed=None)),
        (Checkpoint("before", 20), 0, Resume(20)),
        (Checkpoint("before", 70), 0, Resume(30, dead=None, absorbed=None)),
        (Checkpoint("before", 35), 40, Resume(30, dead=None, absorbed=None)),
        (Checkpoint("stranger", 20), 0, Resume(0, "other_journal")),
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
    assert resume(None, pruned, "mine", 0) == Resume(40)
    assert resume(Checkpoint("now", 45), pruned, "mine", 0) == Resume(45)
