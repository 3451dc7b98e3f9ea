"""Lists of events by a few values of each, looked for backwards from the newest: so far for one answer, and no further.

In the order of the journal, or by how high a value is. For the latter all of a stretch is looked at for each page.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from relay.journal.queries import MOST_DIGESTS, Digest, Digests

T = TypeVar("T")
Rank = tuple[int, ...]
"""A value, then what makes it unlike any other rank. Higher comes first."""

LONGEST_TEXT: Final = 256
"""Characters of a text in a list: so a page stays small whatever the events hold."""

_LOOKS: Final = 10  # as in ranges.py

Look = Callable[[int, int], Awaitable[Digests]]
"""A look for what is wanted, below an offset, and for so many of them."""


async def look_back(look: Look, before: int, take: Callable[[Digest], bool], limit: int = MOST_DIGESTS) -> int | None:
    """Hands over digests below an offset, newest first, until ``take`` has enough, or enough was looked at.

    ``limit``: of the first look; each looks for four times as many. Answers below which offset to go on; ``None``:
    there are no more.
    """
    for _ in range(_LOOKS):
        page = await look(before, limit)
        for digest in page.found:
            if take(digest):
                return page.next if digest is page.found[-1] else digest.offset
        if page.next is None:
            return None
        before, limit = page.next, min(4 * limit, MOST_DIGESTS)
    return before


class Highest(Generic[T]):
    """Those of many that have the highest ranks below ``below``, at most ``limit``."""

    def __init__(self, limit: int, below: Rank | None) -> None:
        self._limit, self._below = limit, below
        self._held: list[tuple[Rank, T]] = []

    def add(self, rank: Rank, item: T) -> None:
        """One of the many. No other has the same rank."""
        if self._below is None or rank < self._below:
            hold = heapq.heappush if len(self._held) <= self._limit else heapq.heappushpop
            hold(self._held, (rank, item))

    def page(self) -> tuple[list[T], str | None]:
        """They, the highest first, and the place of the page behind them (``None``: there is none)."""
        found = sorted(self._held, key=lambda held: held[0], reverse=True)
        shown = found[: self._limit]
        return [item for _, item in shown], place_of(shown[-1][0]) if len(found) > len(shown) else None


def place_of(rank: Rank) -> str:
    """A rank as the place where a page ends."""
    return "-".join(map(str, rank))


def rank_of(value: int | None, *others: int) -> Rank:
    """Of a value that is not negative; what has none comes last, as zero does."""
    return (value or 0, *others)


def text_of(value: object) -> str | None:
    """A text of a digest as lists show it."""
    return value[:LONGEST_TEXT] if isinstance(value, str) else None


def count_of(value: object) -> int | None:
    """A count of a digest, such as tokens: anything else that an upstream writes does not count."""
    return value if type(value) is int and 0 <= value < 1 << 53 else None


def since_of(places: Sequence[int | None]) -> int | None:
    """The latest of the instants down to which parts of a list were looked at; ``None``: all of them to the end."""
    return max((place for place in places if place is not None), default=None)
