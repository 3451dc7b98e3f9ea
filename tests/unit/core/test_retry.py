from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.retry import Backoff, retry_after


def test_delays_double_up_to_the_most() -> None:
    """Broken: a broker that is down would be hammered, or asked again only after hours."""
    backoff = Backoff(first=0.1, most=1.0)
    assert [backoff.delay(n, 0.9999999) for n in (1, 2, 3, 4, 5, 99)] == [
        pytest.approx(expected, rel=1e-3) for expected in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0)
    ]


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_zero_and_never_more_than_the_most(failures: int, chance: float) -> None:
    """Broken: a refused connection would spin, or a sink that is back would be waited out."""
    assert 0.025 <= Backoff(0.1, 15.0).delay(failures, chance) <= 15.0


def test_what_the_other_side_asks_for_is_the_least() -> None:
    """Broken: Retry-After would be ignored."""
    assert Backoff().delay(1, 0.0, retry_after=7.0) == 7.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("9" * 40, 999_999_999_999.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_what_retry_after_asks_for_is_read_in_both_its_forms(value: str | None, seconds: float | None) -> None:
    """The relay would go on where it was asked to wait, or fail at a header that nobody can read."""
    assert retry_after(value, None, 1_700_000_000_000) == seconds


@pytest.mark.parametrize("date", ["Tue, 14 Nov 2023 22:13:20 GMT", "Tuesday, 14-Nov-23 22:13:20 GMT"])
@pytest.mark.parametrize("off", [-7200_000, 0, 7200_000])
def test_a_date_is_read_against_the_clock_of_the_one_who_wrote_it(date: str, off: int) -> None:
    """Broken: with a clock that is two hours off the relay waits for two hours, or not at all."""
    now = 1_700_000_000_000 + off
    assert retry_after("Tue, 14 Nov 2023 22:14:20 GMT", date, now) == 60.0
    assert retry_after("60", date, now) == 60.0
    assert retry_after("Tue, 14 Nov 2023 22:14:20 GMT", "yesterday", 1_700_000_000_000) == 60.0
