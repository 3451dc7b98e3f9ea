"""Bytes that many answers hold together: never more than there are, and everybody who waits gets a turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.edge.api.shares import Room, Share


async def test_one_group_leaves_half_to_the_others() -> None:
    """The consumers of one client that do not read would keep those of all others from reading."""
    room = Room(100)
    stuck = [Share(room, "a") for _ in range(10)]
    turns = [share.ask(10) for share in stuck]
    assert ([turn.done() for turn in turns], room.held) == ([True] * 5 + [False] * 5, 50)
    other = Share(room, "b")
    assert other.ask(20).done()
    assert other.fit(50)
    assert room.held == 100


async def test_who_has_waited_longest_in_a_group_is_next() -> None:
    """One that waits would be passed by those who come later, and never read on."""
    room = Room(100)
    first, second, third = (Share(room, "a") for _ in range(3))
    assert first.ask(100).done()
    waits, waits_too = second.ask(40), third.ask(10)
    assert second.ask(40) is waits
    assert not waits.done()
    assert not waits_too.done()
    first.give_back()
    first.give_back()
    assert waits.done()
    assert (waits_too.done(), room.held) == (True, 50)


async def test_who_waits_for_what_others_hold_is_not_passed_by() -> None:
    """A large event would wait for as long as small ones are read by others."""
    room = Room(100)
    small = Share(room, "a")
    assert small.ask(40).done()
    large, later = Share(room, "b"), Share(room, "c")
    turn, behind = large.ask(80), later.ask(10)
    assert (turn.done(), behind.done()) == (False, False)
    small.give_back()
    assert (turn.done(), behind.done(), room.held) == (True, True, 90)


async def test_what_is_larger_than_all_gets_all() -> None:
    """An event that is larger than the room would never be read."""
    room = Room(100)
    small, large = Share(room, "a"), Share(room, "a")
    assert small.ask(10).done()
    turn = large.ask(1000)
    assert not turn.done()
    small.give_back()
    assert turn.done()
    assert large.fit(1000)
    assert large.size == room.held == 100


async def test_what_turns_out_too_large_is_given_back() -> None:
    """Those that read too much at once would each keep it, and pass the limit together."""
    room = Room(100)
    first, second = Share(room, "a"), Share(room, "b")
    assert first.ask(60).done()
    assert second.ask(10).done()
    assert second.spent is False
    assert not second.fit(50)
    assert (second.size, second.spent, room.held) == (0, False, 60)
    turn = second.ask(50)
    assert first.fit(5)
    assert first.spent
    assert turn.done()


async def test_who_leaves_is_waited_for_no_more() -> None:
    """A consumer that went away while it waited would keep those behind it waiting forever."""
    room = Room(100)
    first, gone, last = (Share(room, "a") for _ in range(3))
    first.ask(30)
    gone.ask(90)
    turn = last.ask(20)
    assert not turn.done()
    gone.give_back()
    assert turn.done()
    assert room.held == 50


MOVES = st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["ask", "fit", "give_back"]), st.integers(0, 150)))


@given(MOVES)
async def test_whatever_happens_it_is_never_more_and_all_get_a_turn(moves: list[tuple[int, str, int]]) -> None:
    """The bound would not hold, or a consumer wait forever, after a certain order of events."""
    room = Room(100)
    shares = [Share(room, number % 3) for number in range(8)]
    waiting = {}
    for number, move, size in moves:
        share = shares[number]
        if move == "ask" and not share.size:
            waiting[number] = share.ask(size)
        elif move == "fit" and share.size and share.fit(size):
            waiting.pop(number, None)
        elif move == "give_back":
            share.give_back()
            waiting.pop(number, None)
        assert 0 <= room.held == sum(each.size for each in shares) <= 100
    while waiting:
        number = next((number for number, turn in waiting.items() if turn.done()), None)
        if number is None:
            for each in shares:
                if each.size:
                    each.give_back()
            assert any(turn.done() for turn in waiting.values())
        else:
            del waiting[number]
            shares[number].give_back()
    for each in shares:
        each.give_back()
    assert (room.held, room._waiting, dict(room._of)) == (0, {}, {})
