from __future__ import annotations

from typing import Any

import pytest

from relay.simulator.requests import InvalidSubmission, Lottery, read_object


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    """Bad JSON would end in a 500 instead of INVALID_REQUEST_BODY."""
    with pytest.raises(InvalidSubmission, match="not"):
        read_object(raw)


def test_luck_depends_on_the_request_and_not_on_its_turn() -> None:
    """Two runs with one seed would differ as soon as their requests race."""
    forth, back = Lottery(1, 10), Lottery(1, 10)
    a1, b1, a2 = (forth.ticket("/p", body).random() for body in ({"x": 1}, {"x": 2}, {"x": 1}))
    b2, a3, a4 = (back.ticket("/p", body).random() for body in ({"x": 2}, {"x": 1}, {"x": 1}))
    assert (a1, a2, b1) == (a3, a4, b2)
    assert len({a1, a2, b1}) == 3


def test_luck_leaves_the_receivers_address_out() -> None:
    """A receiver on a free port would get other events in every run."""
    bodies: list[dict[str, Any]] = [
        {"p": 1},
        {"p": 1, "extra": {"webhook": {"url": "http://127.0.0.1:1/"}}},
        {"p": 1, "callback": "http://127.0.0.1:2/"},
    ]
    assert len({Lottery(1, 10).ticket("/p", body).random() for body in bodies}) == 1


def test_luck_differs_by_seed_and_by_path() -> None:
    """Another seed would play the same scenario again."""
    draws = {Lottery(seed, 10).ticket(path, {}).random() for seed in (1, 2) for path in ("/a", "/b")}
    assert len(draws) == 4


def test_the_lottery_forgets_the_oldest_requests() -> None:
    """A simulator that runs for weeks would grow without end."""
    lottery = Lottery(1, 2)
    first = lottery.ticket("/p", {"n": 0}).random()
    for number in (1, 2):
        lottery.ticket("/p", {"n": number})
    assert lottery.ticket("/p", {"n": 0}).random() == first
