from __future__ import annotations

from relay.simulator.options import Retries


def test_the_default_policy_is_the_documented_one() -> None:
    """The simulator would be kinder, or harsher, than the vendor: five seconds, five repetitions."""
    assert (Retries().timeout, Retries().repeats) == (5.0, 5)


def test_the_last_pause_holds_for_all_further_repetitions() -> None:
    """A short spacing with many repetitions would fail in the middle of a delivery."""
    retries = Retries(spacing=(0.1, 0.2))
    assert [retries.pause(attempt) for attempt in (1, 2, 3, 9)] == [0.1, 0.2, 0.2, 0.2]
    assert Retries(spacing=()).pause(1) == 0.0
