"""What follows a failed try."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.archive.job import ASSUMED_LIFE, LONGEST, Again, Failure, Job, Lost, after_failure, deadline_of

BEGUN = 1_700_000_000_000
HOUR = 3_600_000
DAY = 86_400.0
JOB = Job("t-1", 0, "image", "png", "https://out.example/1.png", "2023-11-14", BEGUN + HOUR, BEGUN)
BUSY = Failure("source_failed", retriable=True)
REFUSED = Failure("link_refused", refused=True)
TOO_LARGE = Failure("too_large")


def test_a_link_whose_end_is_unknown_is_taken_to_live_for_the_usual_time() -> None:
    """It would have no place among those with a deadline: first of all, or never."""
    assert deadline_of(None, BEGUN) == BEGUN + ASSUMED_LIFE
    assert deadline_of(5, BEGUN) == 5


@pytest.mark.parametrize(
    ("failure", "after", "expected"),
    [
        (TOO_LARGE, 0, Lost("too_large")),
        (TOO_LARGE, 2 * HOUR, Lost("too_large")),
        (REFUSED, HOUR - 1, None),
        (REFUSED, HOUR, Lost("link_expired")),
        (BUSY, HOUR - 1, None),
        (BUSY, 23 * HOUR, None),
        (BUSY, 24 * HOUR, Lost("source_failed")),
    ],
)
def test_an_output_is_lost_when_it_cannot_be_had_any_more(failure: Failure, after: int, expected: Lost | None) -> None:
    """It would be reported lost while it can be had, or be tried forever."""
    decision = after_failure(JOB, failure, DAY, BEGUN + after, 0.5)
    assert decision == expected if expected else isinstance(decision, Again)


def test_a_link_that_lives_for_longer_is_tried_for_longer() -> None:
    """A source that is down for a day would lose outputs whose links live for a week."""
    job = replace(JOB, deadline=BEGUN + 168 * HOUR)
    assert isinstance(after_failure(job, BUSY, DAY, BEGUN + 167 * HOUR, 0.5), Again)
    assert after_failure(job, BUSY, DAY, BEGUN + 168 * HOUR, 0.5) == Lost("source_failed")


@given(st.integers(0, 100), st.integers(0, 3 * HOUR), st.floats(0, 1, exclude_max=True))
def test_the_next_try_is_never_at_once_and_never_far(attempts: int, after: int, chance: float) -> None:
    """A dead source would be asked without a pause, or a link end while nobody tries."""
    decision = after_failure(replace(JOB, attempts=attempts), BUSY, DAY, BEGUN + after, chance)
    assert isinstance(decision, Again)
    assert 500 <= decision.after <= LONGEST
    left = HOUR - after
    if left > 0:
        assert decision.after <= max(left / 3, 1000) + 1


def test_tries_that_fail_come_less_often() -> None:
    """A source in trouble would get no rest."""
    waits = [after_failure(replace(JOB, attempts=n), BUSY, DAY, BEGUN, 0.999) for n in range(8)]
    assert all(isinstance(wait, Again) for wait in waits)
    after = [wait.after for wait in waits if isinstance(wait, Again)]
    assert after == sorted(after)
    assert after[-1] > 20 * after[0]
