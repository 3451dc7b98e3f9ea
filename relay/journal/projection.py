"""The port of a projection: tables that follow the events, updated in the same transaction.

What has begun and must end exactly once (a chat, a submitted task) has to be known after a crash, and must agree with
the events at any instant. So its tables are written with them: a projection sees each group inside its transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import ClassVar, Self

from relay.journal.plan import Plan


class Projection:
    """Tables beside the events, on the store's connection, in the store's thread. Its hooks do nothing by themselves.

    Its questions are also asked in other threads, on connections that only read (``on``). What it keeps in memory is
    shared with those: a question takes it first and asks the tables then, and nothing leaves the memory for the tables
    before it is committed there.
    """

    statements: ClassVar[Mapping[str, str]] = {}
    """Those of its ``.sql`` file. The ones named ``create...`` make its tables."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @classmethod
    def create(cls, db: sqlite3.Connection) -> None:
        """Makes the tables where they are missing, inside the caller's transaction."""
        for name, statement in cls.statements.items():
            if name.startswith("create"):
                db.execute(statement)

    def apply(self, group: Plan) -> None:
        """Follows a group of new entries, duplicates left out, inside their transaction.

        Called for every group: it costs nothing where none of the entries is its business, one statement otherwise.
        It keeps nothing in memory that a rollback would make wrong.
        """

    def committed(self, group: Plan) -> None:
        """The group is on disk, with its duplicates noted. Raises nothing."""

    def is_due(self, now: int, *, idle: bool = False) -> bool:
        """Whether what waits in memory is to be written: with a commit, or ``idle``, in one made for that alone."""
        return False

    def written(self, now: int) -> AbstractContextManager[object]:
        """Writes what waits in memory, inside the caller's transaction, and forgets it at the end."""
        return nullcontext()

    def prune(self, upto: int) -> None:
        """The events up to an offset go, inside the caller's transaction."""

    def rename_sink(self, was: str, label: str) -> None:
        """A sink has another label from now on, inside the caller's transaction."""

    def on(self, db: sqlite3.Connection) -> Self:
        """The same projection, asked on another connection."""
        other = copy(self)
        other._db = db
        return other
