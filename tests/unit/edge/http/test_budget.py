"""Bytes that many hold together: nobody keeps the others out, and who must wait comes to an end."""

from __future__ import annotations

import asyncio

import pytest

from relay.edge.http.budget import Budget, Exhausted


def test_one_thing_may_take_what_is_free() -> None:
    """The largest body that is allowed would never be taken."""
    budget = Budget(100)
    place = budget.place("a")
    place.grow(60)
    place.grow(40)
    assert budget.held == 100
    with pytest.raises(Exhausted):
        place.grow(1)
    place.release()
    place.release()
    assert budget.held == 0


def test_a_client_that_holds_something_leaves_as_much_as_it_has() -> None:
    """One client would take everything, thing by thing."""
    budget = Budget(100)
    budget.place("a").grow(30)
    second = budget.place("a")
    second.grow(20)
    with pytest.raises(Exhausted) as full:
        second.grow(1)
    assert full.value.alone
    with pytest.raises(Exhausted) as full:
        budget.require("a", 1)
    assert full.value.alone
    budget.require("b", 50)
    other = budget.place("b")
    other.grow(50)
    with pytest.raises(Exhausted) as full:
        budget.place("c").take(1)
    assert not full.value.alone
    other.shrink(10)
    budget.place("a").take(10)
    assert budget.held == 100


def test_a_client_that_holds_nothing_any_more_is_forgotten() -> None:
    """Memory would grow with the addresses that ever delivered anything."""
    budget = Budget(100)
    places = [budget.place(client) for client in "aab"]
    for place in places:
        place.grow(10)
    for place in places:
        place.release()
    assert (budget._of, budget._places) == ({}, {})


async def test_who_waits_gets_a_turn_when_room_is_there() -> None:
    """An answer that is paid for would wait forever, or the budget be passed by all at once."""
    budget = Budget(100)
    first, second, third = (budget.place("") for _ in range(3))
    await first.grown(90)
    await second.grown(50)  # the one that may overdraw
    waiting = asyncio.create_task(third.grown(20))
    await asyncio.sleep(0)
    await second.grown(50)
    assert (budget.held, waiting.done()) == (190, False)
    second.release()
    await asyncio.wait_for(waiting, 20)
    assert budget.held == 110


async def test_who_gives_up_passes_the_turn_on() -> None:
    """One client that leaves while it waits would leave all others waiting."""
    budget = Budget(10)
    holder = budget.place("")
    await holder.grown(20)
    places = [budget.place("") for _ in range(3)]
    waiting = [asyncio.create_task(place.grown(5)) for place in places]
    await asyncio.sleep(0)
    holder.release()  # the first is woken
    waiting[0].cancel()
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 20)
    assert budget.held == 10
