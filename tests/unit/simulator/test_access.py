from __future__ import annotations

import pytest

from relay.simulator.access import RateLimit, admits


@pytest.mark.parametrize(
    ("header", "admitted"),
    [("Bearer k2", True), ("k1", True), ("Bearer k3", False), ("Bearer ", False), (None, False), ("k\u00e9", False)],
)
def test_a_key_opens_with_and_without_its_scheme(header: str | None, admitted: bool) -> None:
    """The vendor's own JavaScript SDK, which sends the bare key, would be refused, or a wrong key admitted."""
    assert admits(header, ("k1", "k2")) is admitted


def test_without_keys_everybody_may_call() -> None:
    """The simulator would need a key, which is what it is there to spare."""
    assert admits(None, ())


def test_the_limit_counts_within_any_minute() -> None:
    """A limit per clock minute would let twice as many through at its border."""
    limit = RateLimit(2)
    assert [limit.allows(now) for now in (0.0, 59.0, 59.9, 60.0, 60.1, 119.0)] == [True, True, False, True, False, True]


def test_without_a_limit_everything_is_allowed() -> None:
    """A benchmark against the simulator would measure its limit."""
    limit = RateLimit(None)
    assert all(limit.allows(0.0) for _ in range(1000))
