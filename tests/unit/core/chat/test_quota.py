"""What a client may use per minute."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.chat.quota import MAX_DEBT, Exceeded, Quota, tokens_of


def quota(requests: int | None = None, tokens: int | None = None) -> Quota:
    made = Quota()
    made.limit(requests, tokens, 0.0)
    return made


def admitted(made: Quota, now: float, tries: int) -> int:
    return sum(made.admit(now, chat=True) is None for _ in range(tries))


def test_without_limits_everything_is_admitted() -> None:
    """A client without limits would be refused."""
    made = quota()
    made.spend(0.0, 10**12)
    assert admitted(made, 0.0, 1000) == 1000


def test_requests_are_admitted_up_to_the_limit_and_then_as_time_passes() -> None:
    """A limit would let more pass, or lock a client out that has waited."""
    made = quota(requests=60)
    assert admitted(made, 0.0, 100) == 60
    assert made.admit(0.5, chat=False) == Exceeded("requests_per_minute", 60, 1)
    assert admitted(made, 1.0, 5) == 1
    assert admitted(made, 3600.0, 100) == 60


def test_a_chat_is_refused_while_those_before_it_have_used_up_the_tokens() -> None:
    """A client could spend without an end; or would wait for longer than its limit asks for."""
    made = quota(tokens=600)
    assert made.admit(0.0, chat=True) is None
    made.spend(0.0, 1800)
    assert made.admit(0.0, chat=True) == Exceeded("tokens_per_minute", 600, 121)
    assert made.admit(0.0, chat=False) is None
    assert made.admit(120.0, chat=True) == Exceeded("tokens_per_minute", 600, 1)
    assert made.admit(120.1, chat=True) is None


def test_a_refused_request_is_not_counted() -> None:
    """A client that tries again and again, as SDKs do, would never be admitted."""
    made = quota(requests=1, tokens=60)
    made.spend(0.0, 120)
    assert admitted(made, 1.0, 50) == 0
    assert made.admit(61.0, chat=True) is None


def test_the_longest_wait_counts_if_both_limits_are_used_up() -> None:
    """A client would come again, only to hear of the other limit."""
    made = quota(requests=60, tokens=60)
    assert admitted(made, 0.0, 60) == 60
    made.spend(0.0, 120)
    assert made.admit(0.0, chat=True) == Exceeded("tokens_per_minute", 60, 61)


def test_a_number_that_nobody_can_have_used_locks_nobody_out_for_good() -> None:
    """One absurd usage report of the upstream would end a client's service until a restart."""
    made = quota(tokens=10)
    made.spend(0.0, 10**18)
    refused = made.admit(0.0, chat=True)
    assert refused is not None
    assert refused.retry_after <= 3600
    assert made.admit(float(MAX_DEBT * 60 + 6), chat=True) is None


def test_another_limit_forgets_nothing() -> None:
    """A reload of the configuration would hand out a fresh minute; or a higher limit would help only later."""
    made = quota(requests=60)
    assert admitted(made, 0.0, 60) == 60
    made.limit(60, None, 0.0)
    assert admitted(made, 0.0, 5) == 0
    made.limit(70, None, 0.0)
    assert admitted(made, 0.0, 20) == 10
    made.limit(5, None, 0.0)
    assert admitted(made, 0.0, 5) == 0
    made.limit(None, None, 0.0)
    assert admitted(made, 0.0, 100) == 100


@given(st.integers(1, 50), st.lists(st.floats(0, 20), min_size=1, max_size=200))
def test_no_stretch_of_time_sees_more_than_a_minutes_worth_and_what_it_earned(limit: int, pauses: list[float]) -> None:
    """A client could get more through by choosing its moments."""
    made, now, taken = quota(requests=limit), 0.0, 0
    for pause in pauses:
        now += pause
        taken += made.admit(now, chat=False) is None
        assert taken <= limit + now * limit / 60 + 1e-6


@pytest.mark.parametrize(
    ("outcome", "reported", "chunks", "expected"),
    [
        ("completed", (5, 7), 3, 12),
        ("completed", (5, 7), 30, 12),
        ("completed", (None, None), 30, 30),
        ("cancelled", (None, None), 30, 30),
        ("cancelled", (25, 1), 30, 55),
        ("failed", (None, None), 0, 0),
    ],
)
def test_a_chat_counts_what_was_reported_or_else_its_chunks(
    outcome: str, reported: tuple[int | None, int | None], chunks: int, expected: int
) -> None:
    """A client could get around its limit by not asking for the usage, or by leaving just before the end."""
    data: Any = {"outcome": outcome, "tokens": dict(zip(("input", "output"), reported, strict=True)), "chunks": chunks}
    assert tokens_of(data) == expected


def test_time_that_passed_before_a_chat_ended_brings_nothing_back_afterwards() -> None:
    """A client that was idle could use two minutes' worth: what it did not use, and then that of the wait."""
    made = quota(tokens=60)
    made.spend(3600.0, 60)
    assert made.admit(3600.0, chat=True) == Exceeded("tokens_per_minute", 60, 1)


def test_another_limit_counts_from_what_is_used_at_that_moment() -> None:
    """A reload would give back what was used, or take what had come back."""
    made = quota(requests=60)
    assert admitted(made, 0.0, 60) == 60
    made.limit(120, None, 30.0)
    assert admitted(made, 30.0, 200) == 90


def test_a_lower_limit_shortens_what_is_owed_to_an_hour_of_it() -> None:
    """A client that owes would be locked out for days by a lower limit."""
    made = quota(tokens=1000)
    made.spend(0.0, 59_000)
    made.limit(None, 10, 0.0)
    refused = made.admit(0.0, chat=True)
    assert refused is not None
    assert 3500 <= refused.retry_after <= 3600
