"""The port of a companion: a table that changes in the same transaction as the events that it follows.

What has begun and must end exactly once (a chat, a submitted task) has to be known after a crash, and must
agree with the events at any instant. So its table is written with them: a companion sees the entries of each group
inside the group's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from copy import copy
from typing import Protocol, TypeVar

from relay.core.event import Entry

C = TypeVar("C", bound="Companion")


class Companion(Protocol):
    """One table beside the events, on the store's connection, in the store's thread.

    Its look-ups are also run in other threads, on connections that only read (``on``). What it keeps in memory is
    shared with those: a look-up takes it first and asks the table then, and nothing leaves the memory for the table
    before it is committed there.
    """

    _db: sqlite3.Connection

    def __init__(self, db: sqlite3.Connection) -> None: ...

    @staticmethod
    def create(db: sqlite3.Connection) -> None:
        """Makes the table where it is missing, inside the caller's transaction."""

    def apply(self, entries: Sequence[Entry], now: int) -> None:
        """Follows a group of new entries, duplicates left out, inside their transaction. ``now``: epoch milliseconds.

        Called for every group: it costs nothing where none of the entries is its business, one statement otherwise.
        It keeps nothing in memory that a rollback would make wrong.
        """


def on(companion: C, db: sqlite3.Connection) -> C:
    """The same companion, asked on another connection."""
    other = copy(companion)
    other._db = db
    return other
