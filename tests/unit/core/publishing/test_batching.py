from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.core.publishing.batching import SLOWEST_LINK, Batching, longest
from relay.core.sink import Limits

MOST = Limits(events=100, bytes=1000, seconds=4.0)
QUICK, SLOW = 1.0, 1.1
"""Seconds: a quarter of what the sink gives a batch, and more."""


def test_a_batch_in_doubt_halves_the_next_one() -> None:
    """Broken: what a slow link cannot carry in time would be tried at the same size forever."""
    batching = Batching.of(MOST).in_doubt(100, 800)
    assert (batching.events, batching.bytes, batching.seconds) == (50, 400, 4.0)
    batching = batching.in_doubt(3, 390)
    assert (batching.events, batching.bytes) == (1, 195)


def test_a_batch_that_was_smaller_than_the_limits_is_halved_itself() -> None:
    """Broken: halving the limits alone would try the same batch again, as often as it fits into them."""
    assert Batching.of(MOST).in_doubt(10, 40) == Batching(MOST, 5, 20, 4.0)


def test_a_single_event_in_doubt_gets_more_time_up_to_what_the_slowest_link_takes() -> None:
    """Broken: an event that is too large for the sink's time would block all behind it forever, or be waited for
    without end when the server hangs."""
    batching, size, given = Batching.of(MOST), 15 * SLOWEST_LINK, []
    for _ in range(4):
        given.append(batching.seconds)
        batching = batching.in_doubt(1, size)
    assert given == [4.0, 8.0, 15.0, 15.0]
    assert batching.published(1, size, SLOW).seconds == 4.0


def test_quick_batches_grow_back_to_the_limits_and_no_further() -> None:
    """Broken: a sink that is well again would be fed in drops, or given more than it takes."""
    batching, seen = Batching.of(MOST).in_doubt(8, 80), []
    while not batching.is_usual:
        batching = batching.published(batching.events, batching.bytes, QUICK)
        seen.append((batching.events, batching.bytes))
    assert seen == [(8, 80), (16, 160), (32, 320), (64, 640), (100, 1000)]


def test_a_slow_batch_does_not_grow() -> None:
    """Broken: behind a slow link every second batch would time out."""
    batching = Batching.of(MOST).in_doubt(8, 80)
    assert batching.published(4, 40, SLOW) == batching


def test_a_limit_that_a_batch_did_not_come_near_stays() -> None:
    """Broken: after one small event that got through, the large ones would be tried at full size again."""
    batching = Batching(MOST, 10, 100, 4.0)
    assert batching.published(10, 49, QUICK) == Batching(MOST, 20, 100, 4.0)
    assert batching.published(4, 100, QUICK) == Batching(MOST, 10, 200, 4.0)


def test_a_refused_event_is_looked_for_in_half_the_events() -> None:
    """Broken: the sink would refuse the same batch forever."""
    assert Batching.of(MOST).split_to(7) == Batching(MOST, 7, 1000, 4.0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 100), st.integers(0, 10**9), st.floats(0, 100))))
def test_there_is_always_room_for_an_event_and_never_for_more_than_the_limits(
    history: list[tuple[bool, int, int, float]],
) -> None:
    """Broken: nothing would be read and so nothing published, or a batch would be larger than the sink takes."""
    batching = Batching.of(MOST)
    for failed, events, size, seconds in history:
        events, size = min(events, batching.events), max(1, size)
        batching = batching.in_doubt(events, size) if failed else batching.published(events, size, seconds)
        assert 1 <= batching.events <= MOST.events
        assert 1 <= batching.bytes <= MOST.bytes
        assert MOST.seconds <= batching.seconds <= longest(MOST.seconds, 10**9)


@given(st.floats(0.01, 100), st.integers(0, 10**9))
def test_what_carries_the_slowest_link_gets_its_time(usual: float, size: int) -> None:
    """Broken: the documented link would be too slow after all."""
    assert longest(usual, size) >= usual
    assert longest(usual, size) * SLOWEST_LINK >= size
