"""How lists look backwards through the journal: so far for one answer, in its order or by a value."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relay.edge.api import digests
from relay.edge.api.digests import Highest, count_of, look_back, rank_of, since_of, text_of
from relay.journal.queries import MOST_DIGESTS, Digest, Digests


def digest(offset: int) -> Digest:
    return Digest(offset, 1, "t", "s", [])


class Journal:
    """Offsets in looks of so many each."""

    def __init__(self, size: int, *, held: int) -> None:
        self._size, self._held = size, held
        self.looks = 0

    async def look(self, before: int, limit: int) -> Digests:
        assert limit == min(9 * 4**self.looks, MOST_DIGESTS)
        self.looks += 1
        top = min(before, self._held + 1)
        found = [digest(offset) for offset in range(top - 1, max(0, top - 1 - self._size), -1)]
        return Digests(found, found[-1].offset if found and found[-1].offset > 1 else None)


@pytest.mark.parametrize(("enough", "place"), [(1, 10), (3, 8), (4, 7), (9, 2), (10, None), (11, None)])
async def test_a_look_back_ends_with_enough_or_with_all(enough: int, place: int | None) -> None:
    """A page would repeat what the one before it has shown, or leave something out."""
    taken: list[int] = []

    def take(each: Digest) -> bool:
        taken.append(each.offset)
        return len(taken) == enough

    assert await look_back(Journal(4, held=10).look, 99, take, 9) == place
    assert taken == list(range(10, 10 - min(enough, 10), -1))


async def test_a_look_back_goes_so_far_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request would read the whole journal for what is not there."""
    monkeypatch.setattr(digests, "_LOOKS", 3)
    journal = Journal(4, held=100)
    assert await look_back(journal.look, 50, lambda _: False, 9) == 38
    assert journal.looks == 3
    assert await look_back(Journal(4, held=9).look, 9, lambda _: False, 9) is None


def pages(values: Sequence[int | None], limit: int) -> list[list[int]]:
    found: list[list[int]] = []
    below: tuple[int, ...] | None = None
    while True:
        highest: Highest[int] = Highest(limit, below)
        for place, value in enumerate(values):
            highest.add(rank_of(value, place), place)
        page, following = highest.page()
        found.append(page)
        if following is None:
            return found
        below = tuple(map(int, following.split("-")))


def test_pages_of_the_highest_hold_each_once() -> None:
    """Of chats that took the same time, some would be shown twice and others never."""
    values = [5, 9, None, 5, 0, 5, 1]
    assert pages(values, 10) == [[1, 5, 3, 0, 6, 4, 2]]
    assert pages(values, 3) == [[1, 5, 3], [0, 6, 4], [2]]
    assert pages(values, 7) == [[1, 5, 3, 0, 6, 4, 2]]
    assert pages([], 3) == [[]]


def test_what_is_odd_in_a_digest_is_nothing() -> None:
    """A number would be compared with a text, and the list be an error."""
    assert [count_of(value) for value in (0, 7, -1, 1.0, True, "7", None, 1 << 60)] == [0, 7, *[None] * 6]
    assert [text_of(value) for value in ("a", "a" * 300, 7, None)] == ["a", "a" * 256, None, None]
    assert [since_of(places) for places in ([None, None], [None, 7], [9, 7])] == [None, 7, 9]
