"""A budget of bytes for answers that clients have not read yet: who may take more, and who waits.

Answers come in groups. Within a group the one that has waited longest is next, and a group gets more only while at
least as much stays free for the others (the dynamic thresholds of shared buffers: Choudhury and Hahne, 1998). So one
group alone gets half, and what the members of one group never give back keeps no other group waiting.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable


class Room:
    """``size``: bytes for all."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0
        """Bytes that are taken."""
        self._of: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, dict[Share, None]] = {}

    def _fits(self, share: Share, size: int) -> bool:
        free = self.size - (self.held - share.size) - size
        others = self._of[share.group] - share.size
        return free >= 0 and (not others or others + size <= free)

    def _set(self, share: Share, size: int) -> None:
        grown = size - share.size
        share.size = size
        self.held += grown
        self._of[share.group] += grown
        if not self._of[share.group]:
            del self._of[share.group]

    def _wait(self, share: Share) -> None:
        self._waiting.setdefault(share.group, {})[share] = None
        self._serve()

    def _forget(self, share: Share) -> None:
        waiting = self._waiting.get(share.group, {})
        waiting.pop(share, None)
        if not waiting:
            self._waiting.pop(share.group, None)

    def _serve(self) -> None:
        for group in list(self._waiting):
            waiting = self._waiting.pop(group)
            while waiting and (first := next(iter(waiting)))._take_turn():
                del waiting[first]
            if waiting:
                self._waiting[group] = waiting  # behind the others
                if not self._of[group]:
                    return  # what it waits for is held by others: who comes later must not take it


class Share:
    """What one answer holds. ``group``: with whom it shares; it may be another one once nothing is held."""

    __slots__ = ("_asked", "_room", "_turn", "group", "size")

    def __init__(self, room: Room, group: Hashable) -> None:
        self._room, self.group = room, group
        self.size = 0
        self._asked = 0
        self._turn: asyncio.Future[None] | None = None

    @property
    def spent(self) -> bool:
        """Whether it holds bytes, and not those that a turn has just come for."""
        return self.size > 0 and self._turn is None

    def ask(self, size: int) -> asyncio.Future[None]:
        """Done once it holds so many bytes, or all that there are. Asked again meanwhile, it keeps its turn."""
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_future()
            self._asked = min(size, self._room.size)
            self._room._wait(self)
        return self._turn

    def fit(self, size: int) -> bool:
        """Whether it can hold so many bytes instead of what it holds; if it cannot, it gives all of it back."""
        size, room = min(size, self._room.size), self._room
        self._turn = None
        fits = size <= self.size or room._fits(self, size)
        room._set(self, size if fits else 0)
        room._serve()
        return fits

    def give_back(self) -> None:
        """Holds nothing, and waits for nothing; more than once does no harm."""
        self._room._forget(self)
        self.fit(0)

    def _take_turn(self) -> bool:
        assert self._turn is not None
        if not self._room._fits(self, self._asked):
            return False
        self._room._set(self, self._asked)
        self._turn.set_result(None)
        return True
