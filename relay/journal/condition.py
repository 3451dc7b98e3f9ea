"""Whether an open journal can go on: what its disk has said last, and how large it is."""

from __future__ import annotations

import asyncio
from typing import Protocol

from relay.core.errors import RelayError
from relay.journal.errors import DISK_FULL, JournalBroken, JournalUnavailable


class Signals(Protocol):
    """What is reported of it, each once per occasion."""

    def journal_broke(self, error: JournalBroken) -> None: ...

    def journal_ran_full(self, error: JournalUnavailable) -> None: ...

    def journal_has_room(self) -> None: ...


class Condition:
    """Of one journal, in one event loop. ``size``: bytes of the file's pages in use, as of the last look."""

    def __init__(self, size: int, signals: Signals) -> None:
        self.size = size
        self.broken: asyncio.Future[JournalBroken] = asyncio.get_running_loop().create_future()
        self.full: JournalUnavailable | None = None
        """What a disk without room said, until a commit has shown otherwise."""
        self._signals = signals

    def failed(self, error: RelayError) -> None:
        """What a commit or maintenance met: a disk that is full takes nothing until maintenance has made room."""
        if isinstance(error, JournalUnavailable):
            if error.code == DISK_FULL and self.full is None:
                self.full = error
                self._signals.journal_ran_full(error)
        elif isinstance(error, JournalBroken) and not self.broken.done():
            self.broken.set_result(error)
            self._signals.journal_broke(error)

    def has_room(self) -> None:
        """A commit has shown that the disk is not full any more."""
        self.full = None
        self._signals.journal_has_room()
