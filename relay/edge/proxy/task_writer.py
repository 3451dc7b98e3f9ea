"""Records what a paid answer of the upstream says, even while the journal cannot commit.

The upstream has taken the task when its answer is here: whatever the journal does, the client must hear of it, and the
task must not be forgotten. So the wait for the disk is bounded, and goes on behind the client's back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from relay.core.event import Draft
from relay.edge.http.problems import ProblemError, journal_code
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal
from relay.telemetry.signals.submissions import SubmissionSignals

RECORD_TIMEOUT = 5.0
"""Seconds that a client waits for its task to be on disk: a commit takes milliseconds, a disk that hangs forever."""

_AGAIN = 0.5


class TaskWriter:
    """Appends drafts to the journal, again and again while that says that it may work later."""

    def __init__(self, journal: Journal, signals: SubmissionSignals, timeout: float = RECORD_TIMEOUT) -> None:
        self._journal = journal
        self._signals = signals
        self._timeout = timeout
        self._late: set[asyncio.Task[bool]] = set()

    def require_journal(self) -> None:
        """Raises ``ProblemError`` while nothing can be recorded: what nobody could watch is not to be paid for."""
        refusal = self._journal.accepting()
        if refusal is not None:
            raise ProblemError(journal_code(refusal))
        if self._late:
            raise ProblemError("journal_unavailable", "Tasks submitted earlier are not on disk yet.")

    async def record(self, drafts: Sequence[Draft]) -> bool:
        """Whether the drafts, all about one task, are on disk; if not, it is tried on."""
        writing = asyncio.create_task(self._write(drafts), name="record task")
        await asyncio.wait((writing,), timeout=self._timeout)
        if writing.done():
            return writing.result()
        self._late.add(writing)
        writing.add_done_callback(self._late.discard)
        return False

    async def observe(self, draft: Draft) -> None:
        """Records what a client has seen, as far as the journal takes it at once: it can be asked for again.

        Raises ``JournalUnavailable`` or ``JournalBroken``.
        """
        await asyncio.wait((self._journal.append(draft),), timeout=self._timeout)

    @property
    def busy(self) -> bool:
        """Whether something is not on disk yet."""
        return bool(self._late)

    async def finish(self, timeout: float) -> None:
        """Waits for what is not on disk yet, then gives up."""
        if self._late:
            _, hopeless = await asyncio.wait(self._late, timeout=timeout)
            for writing in hopeless:
                writing.cancel()

    async def _write(self, drafts: Sequence[Draft]) -> bool:
        """What was written before a failure is absorbed as a duplicate when it comes again."""
        try:
            while not await self._is_written(drafts):  # noqa: ASYNC110 - no event says that the journal works again
                await asyncio.sleep(_AGAIN)
        except (JournalBroken, asyncio.CancelledError):
            self._signals.task_lost(drafts[0].event.subject)
            return False
        return True

    async def _is_written(self, drafts: Sequence[Draft]) -> bool:
        try:
            for receipt in [self._journal.append(draft) for draft in drafts]:
                await receipt
        except JournalUnavailable:
            return False
        return True
