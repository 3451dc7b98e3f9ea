"""The port of a companion: a table that changes in the same transaction as the events that it follows.

What has begun and must end exactly once (a chat stream, a submitted task) has to be known after a crash, and must
agree with the events at any instant. So its table is written with them: a companion sees the entries of each group
inside the group's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol

from relay.core.event import Entry


class Companion(Protocol):
    """One table beside the events. Lives in the store's thread, on the store's connection.

    Made with the connection, when the journal is open and recovered; it creates its table where that is missing.
    """

    def __init__(self, db: sqlite3.Connection) -> None: ...

    def apply(self, entries: Sequence[Entry], now: int) -> None:
        """Follows a group of new entries, duplicates left out, inside their transaction. ``now``: epoch milliseconds.

        Called for every group: it costs nothing where none of the entries is its business, one statement otherwise.
        It keeps nothing in memory that a rollback would make wrong.
        """
