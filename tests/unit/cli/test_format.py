"""Values as people read them."""

from __future__ import annotations

import time

import pytest

from relay.cli.format import age, counted, duration, size, until
from relay.core.clock import rfc3339


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0ms"),
        (0, "0ms"),
        (0.0164, "16ms"),
        (1.24, "1.2s"),
        (59.9, "59s"),
        (60, "1m"),
        (185, "3m 5s"),
        (7800, "2h 10m"),
        (86_400, "1d"),
        (100 * 86_400 + 3 * 3600, "100d 3h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    """People would have to divide by 3600 in their head."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (50 << 20, "50 MiB"), (1 << 60, "1048576 TiB")]
)
def test_a_size_is_in_its_largest_unit(count: int, text: str) -> None:
    """People would count digits."""
    assert size(count) == text


def test_a_number_agrees_with_its_noun() -> None:
    """Messages would read '1 events'."""
    assert (counted(1, "event"), counted(2, "event")) == ("1 event", "2 events")


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (0, "0s"), (59, "59s"), (61, "1m"), (7300, "2h"), (90_000, "1d"), (10**7, "115d")]
)
def test_an_age_is_one_number(seconds: int, text: str) -> None:
    """People would have to subtract timestamps."""
    assert age(rfc3339(round((time.time() - seconds) * 1000) - 200)) == text


@pytest.mark.parametrize(("seconds", "text"), [(90.5, "in 1m"), (28.5, "in 28s"), (0, "now"), (-5, "now")])
def test_the_next_poll_is_counted_from_now(seconds: float, text: str) -> None:
    """People would have to subtract the time of day to learn how long they have to wait."""
    assert until(rfc3339(round((time.time() + seconds) * 1000))) == text
