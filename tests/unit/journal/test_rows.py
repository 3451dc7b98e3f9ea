from __future__ import annotations

import pytest

from relay.journal.rows import SavedCheckpoint, Shown, recounted

SAVED = SavedCheckpoint(20, published=15, dead=2, absorbed=1, passed=2)


@pytest.mark.parametrize(
    ("shown", "held", "gone", "expected", "lost"),
    [
        (Shown(20, None, None), 0, 0, SAVED, 0),
        (Shown(25, 3, 1), 5, 0, SavedCheckpoint(25, 19, 3, 1, 2), 0),
        (Shown(12, 1, 1), 8, 0, SavedCheckpoint(12, 8, 1, 1, 2, catch_up_to=20), 0),
        (Shown(12, 1, 1, missing=5), 8, 5, SavedCheckpoint(12, 3, 1, 1, 7, catch_up_to=20), 5),
        (Shown(12, empty=True), 8, 0, SavedCheckpoint(12, 0, 0, 0, 12, catch_up_to=20), 10),
        (Shown(0, empty=True), 18, 0, SavedCheckpoint(0, 0, 0, 0, 0, catch_up_to=20), 0),
    ],
    ids=["nothing new", "further", "it lost some", "some of them pruned", "it lost all, partly pruned", "it lost all"],
)
def test_the_counts_follow_what_a_sink_shows(
    shown: Shown, held: int, gone: int, expected: SavedCheckpoint, lost: int
) -> None:
    """Broken: P5: events would be counted as published that are nowhere, and what is missing as zero."""
    progress, found = recounted(SAVED, shown, held, gone)
    after = SAVED.then(progress)
    assert (after, found) == (expected, lost)
    assert after.offset == after.published + after.dead + after.absorbed + after.passed
