"""A budget of bytes for requests: who may take more, and who waits.

A place grows with what has really come. A holder of bytes gets more only while at least as much stays free
for others (the dynamic thresholds of shared buffers: Choudhury and Hahne, 1998): one client alone gets half, and leaves
the other half to those who come after it, without a setting for how many clients there are.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import Self


class Exhausted(Exception):
    """There is no room. ``alone``: it is this client that holds too much."""

    def __init__(self, *, alone: bool) -> None:
        super().__init__("the budget is used up")
        self.alone = alone


class Budget:
    """``size``: bytes for all."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0
        """Bytes that are taken."""
        self._of: Counter[str] = Counter()
        self._places: Counter[str] = Counter()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._overdrawn: Place | None = None

    def place(self, client: str) -> Place:
        """Room for one thing of a client's; of nothing yet."""
        return Place(self, client)

    def require(self, client: str, size: int) -> None:
        """Raises ``Exhausted`` where the client could not begin a thing of this size."""
        self._require(client, size, has_others=bool(self._places[client]))

    def _require(self, client: str, size: int, *, has_others: bool) -> None:
        free = self.size - self.held
        if size > free:
            raise Exhausted(alone=False)
        if has_others and self._of[client] + size > free - size:  # one thing, however large, may take what is free
            raise Exhausted(alone=True)

    def _take(self, place: Place, size: int) -> None:
        self.held += size
        self._of[place.client] += size
        if not place.size:
            self._places[place.client] += 1
        place.size += size

    def _give_back(self, place: Place, size: int) -> None:
        self.held -= size
        place.size -= size
        self._of[place.client] -= size
        if not place.size:
            self._places[place.client] -= 1
            if self._overdrawn is place:
                self._overdrawn = None
            if not self._places[place.client]:
                del self._places[place.client], self._of[place.client]
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():
                first.set_result(None)
                return


class Place:
    """What one request holds; ``release`` it."""

    __slots__ = ("_budget", "client", "size")

    def __init__(self, budget: Budget, client: str) -> None:
        self._budget, self.client = budget, client
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def grow(self, size: int) -> None:
        """Takes this much more. Raises ``Exhausted``."""
        budget = self._budget
        budget._require(self.client, size, has_others=budget._places[self.client] > bool(self.size))
        budget._take(self, size)

    def take(self, size: int) -> None:
        """Takes this much more in whatever case but that all is used up: for what is there already, and small."""
        budget = self._budget
        if size > budget.size - budget.held:
            raise Exhausted(alone=False)
        budget._take(self, size)

    async def grown(self, size: int) -> None:
        """Takes this much more, and waits for it. Of those that wait one at a time may overdraw, so that some end."""
        budget = self._budget
        while size > budget.size - budget.held and budget._overdrawn not in (None, self):
            turn = asyncio.get_running_loop().create_future()
            budget._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                budget._wake()  # it may have been this one's turn
                raise
        if size > budget.size - budget.held:
            budget._overdrawn = self
        budget._take(self, size)
        budget._wake()

    def shrink(self, size: int) -> None:
        """Gives some of it back."""
        size = min(size, self.size)
        if size:
            self._budget._give_back(self, size)

    def release(self) -> None:
        """Gives back all of it; more than once does no harm."""
        self.shrink(self.size)
