"""One projection of an open journal, as the event loop sees it: all of the journal that most callers need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec, TypeVar

from relay.journal.projection import Projection
from relay.journal.reader import Readers
from relay.journal.store import Store
from relay.journal.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Projection)


class Projected(Generic[C]):
    """``kind`` is its class, whose methods are the questions and the changes."""

    def __init__(self, kind: type[C], store: Store, writer: Writer, readers: Readers) -> None:
        self.table = store.projection(kind)
        """For what it keeps in memory. Its tables belong to the journal's thread."""
        self._kind, self._store, self._writer, self._readers = kind, store, writer, readers

    async def query(self, question: Callable[Concatenate[C, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Asks on a connection that only reads, behind all that ask something else."""
        return await self._readers.call(lambda reader: reader.query(self._kind, question, *args, **kwargs))

    async def execute(self, change: Callable[Concatenate[C, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Changes it in the journal's thread, between two commits; it is fsynced when this returns."""
        return await self._writer.call(lambda: self._store.execute(change, self.table, *args, **kwargs))
