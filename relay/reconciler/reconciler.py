"""Polls the upstream for tasks whose webhook does not come, until each has ended once.

All state is in the registry, so a restart goes on where the last process was. A terminal answer enters the journal as
a webhook does, under the same key: whichever comes first counts, and the other is a duplicate. What an answer means
is decided in ``relay.core.tasks.reconcile``; here it is obeyed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from relay.clocks import steady_ms, wall_ms
from relay.core.errors import RelayError
from relay.core.event import Draft
from relay.core.source import Delivery, Source
from relay.core.tasks.address import made_before
from relay.core.tasks.events import abandoned_draft, terminal_key
from relay.core.tasks.reconcile import (
    Abandon,
    Decision,
    Ended,
    Moment,
    PollAgain,
    PollAnswer,
    Timing,
    Unanswered,
    Watched,
    decide,
)
from relay.core.trace import continued
from relay.journal.due_work import FRESH_FOR, DueWork
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal, Projected
from relay.journal.projection import Projection
from relay.journal.projections.task_addresses import Addresses
from relay.journal.projections.tasks import Tasks
from relay.telemetry.signals.tasks import TaskSignals

T = TypeVar("T")
C = TypeVar("C", bound=Projection)

CHECK_EVERY: Final = 1.0
"""Seconds between two looks into the registry at most: what has just been entered may be due before all others."""
_BATCH: Final = 100
_PRUNE_EVERY: Final = 60.0
_ADDRESS_MARGIN: Final = 600  # seconds: no address is taken any more when its task is forgotten, on whatever clock


Poll = Callable[[str], Awaitable[PollAnswer | Unanswered]]
"""Asks the upstream for one task. Raises nothing but bugs."""


class Reconciler(DueWork[Watched]):
    """Polls what is due, at most ``rate`` times per second and ``concurrency`` at once.

    ``source`` must report tasks under way, too; their events are published where ``publish_progress`` is set.
    """

    name = "poll"

    def __init__(
        self,
        journal: Journal,
        source: Source,
        poll: Poll,
        signals: TaskSignals,
        timing: Timing,
        *,
        rate: float = 10.0,
        concurrency: int = 8,
        publish_progress: bool = False,
        now: Callable[[], int] = steady_ms,
        wall: Callable[[], int] = wall_ms,
    ) -> None:
        super().__init__(rate, concurrency, min(max(timing.first_after / 2, 0.05), CHECK_EVERY))
        self._journal, self._source, self._poll = journal, source, poll
        self._signals, self._timing = signals, timing
        self._now, self._wall = now, wall
        self._publish_progress = publish_progress
        self._tasks = journal.projection(Tasks)
        self._batch = max(1, min(round(rate * FRESH_FOR), _BATCH))
        self._seen: dict[str, PollAgain] = {}

    def may_begin(self) -> bool:
        return super().may_begin() and self._journal.accepting() is None

    async def look(self, busy: Collection[str]) -> Sequence[Watched]:
        await self._note()
        found = await self._tasks.query(Tasks.due, self._now(), self._batch + len(busy), self._timing.longest)
        return await self._without_ended([task for task in found if task.task_id not in busy])

    def mark_of(self, job: Watched) -> str:
        return job.task_id

    async def until_due(self) -> float:
        """Seconds until a task is due, as far as is known now."""
        if self.working:
            return self._check_every
        due_at = await self._tasks.execute(Tasks.next_due)
        if due_at is None:
            return self._check_every
        return min(max((due_at - self._now()) / 1000, 0.001), self._check_every)

    async def _note(self) -> None:
        """Writes down what polls have brought."""
        if self._seen:
            noted = dict(self._seen)
            await self._tasks.execute(Tasks.polled, list(noted.items()))
            for task_id, again in noted.items():
                if self._seen.get(task_id) is again:
                    del self._seen[task_id]

    async def _without_ended(self, tasks: Sequence[Watched]) -> list[Watched]:
        """The tasks of which no ending is known. Others ended before they were registered: that is noted instead."""
        keys = {terminal_key(task.task_id): task for task in tasks}
        known = await self._journal.events.known(list(keys)) if keys else {}
        for key, (_, offset) in known.items():
            await self._settle(keys[key].task_id, offset)
        return [task for key, task in keys.items() if key not in known]

    async def _settle(self, task_id: str, offset: int) -> None:
        entries = await self._journal.events.read(offset - 1, 1)
        if entries and entries[0].offset == offset:
            entry = entries[0]
            state = entry.event.type.rpartition(".")[2]
            await self._tasks.execute(Tasks.end, task_id, state, entry.accepted_at, offset)
        else:
            await self._tasks.execute(Tasks.forget, task_id)
        self._signals.ending_was_known()

    async def work(self, job: Watched) -> None:
        """Polls one task and does what its answer asks for. A bug here costs this task a poll, and no other its."""
        try:
            decision = await self._ask(job)
            await self._obey(job, decision)
        except JournalUnavailable:
            self._again(job, PollAgain(self._now() + 1000, "running", counts=False))
        except JournalBroken:
            pass  # the process is about to end
        except Exception as error:
            self._signals.poll_failed(error)
            at = self._timing.next_poll(job, self._now(), None, random.random())  # noqa: S311
            self._again(job, PollAgain(at, "unreadable"))

    async def _ask(self, task: Watched) -> Decision:
        span = self._signals.poll_begun(task.task_id)
        answer = await self._poll(task.task_id)
        now = self._now()
        normalized = None
        if isinstance(answer, PollAnswer) and answer.status == 200:
            normalized = self._source.normalize(Delivery(answer.body, self._wall(), "poll"))
        if isinstance(normalized, Draft):
            normalized = continued(normalized, span.traceparent)
        # The dice only spread polls over time; nobody gains by guessing them.
        moment = Moment(now, self.rate_limit.failures, random.random())  # noqa: S311
        decision = decide(task, answer, normalized, self._timing, moment)
        self._signals.polled("abandoned" if isinstance(decision, Abandon) else decision.result, span)
        return decision

    async def _obey(self, task: Watched, decision: Decision) -> None:
        match decision:
            case Ended(draft):
                self._slow_down(decision.result, 0.0)
                await self._journal.append(draft)
                self._again(task, PollAgain(self._now(), decision.result))
            case Abandon(reason):
                draft = abandoned_draft(task.task_id, task.task_type, reason, now=self._wall())
                if (await self._journal.append(draft)).result == "accepted":
                    self._signals.task_abandoned(task.task_id, reason)
                self._again(task, PollAgain(self._now(), decision.result))
            case PollAgain(pause=pause, progress=progress):
                if progress is not None and self._publish_progress:
                    await self._journal.append(progress)
                self._slow_down(decision.result, pause)
                self._again(task, decision)

    def _slow_down(self, result: str, pause: float) -> None:
        if not pause:
            self.rate_limit.succeeded()
            self._signals.upstream_answered()
        elif self.rate_limit.pause(asyncio.get_running_loop().time(), pause):
            self._signals.polling_paused(result, pause)

    def _again(self, task: Watched, again: PollAgain) -> None:
        """To be noted. Of a task that has ended the registry knows, and keeps it so; else its ending is known
        under an older event, which the next look finds."""
        self._seen[task.task_id] = again

    async def end(self) -> None:
        """Polls under way are cut short; what others brought is noted."""
        await super().end()
        with suppress(RelayError):
            await self._note()


async def forget_ended(
    tasks: Projected[Tasks], addresses: Projected[Addresses], retention: float, address_life: float
) -> None:
    """Takes tasks out of the registry that ended more than ``retention`` seconds ago, for as long as it runs.

    ``address_life``: seconds after which no delivery is taken by the webhook address of a task any more.
    """
    while True:
        await asyncio.sleep(_PRUNE_EVERY)
        now = wall_ms()
        await tasks.forget(Tasks.expire, now - round(retention * 1000))
        await addresses.forget(Addresses.expire, made_before(now // 1000 - int(address_life) - _ADDRESS_MARGIN))
