from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.retry import Backoff


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
