"""Drains a relay that goes on running: when nothing is left to publish, nothing more is taken.

A process that ends by SIGTERM drains too (``Relay.stop``), in the seconds that it has; this one takes as long as the
sinks need, can be looked at, and can be taken back.
"""

from __future__ import annotations

import asyncio

from relay.app.listeners import Listeners
from relay.app.publishers import Publishers
from relay.clocks import until, wall_ms
from relay.edge.api.drain import DrainState
from relay.edge.build import Edge
from relay.journal.journal import Journal
from relay.reconciler.watch import TaskReconciliation
from relay.telemetry.signals.process import ProcessSignals


class Drain:
    """One drain at a time: ``begin`` it, look at its ``state``, ``cancel`` it. ``end`` when the relay stops."""

    def __init__(
        self,
        edge: Edge,
        listeners: Listeners,
        journal: Journal,
        publishers: Publishers,
        watch: TaskReconciliation,
        signals: ProcessSignals,
    ) -> None:
        self._edge, self._listeners, self._watch = edge, listeners, watch
        self._journal, self._publishers, self._signals = journal, publishers, signals
        self._task: asyncio.Task[None] | None = None
        self._accept_until = 0.0
        self._closed = False  # and all that had begun has ended
        self._ended = False
        self.since: int | None = None
        """Epoch milliseconds; ``None`` while nothing drains."""

    @property
    def state(self) -> DrainState:
        """``drained`` holds for as long as it is true: a sink may lose events, which are then published again."""
        if self.since is None:
            return "none"
        return "drained" if self._closed and self._is_published() else "draining"

    def begin(self, accept_for: float) -> None:
        """Drains from now on, and for the first seconds takes all that comes: balancers have to notice first.

        Begun again it goes on; it can be brought nearer its end, but not put off.
        """
        accept_until = asyncio.get_running_loop().time() + accept_for
        if self.since is not None:
            self._accept_until = min(self._accept_until, accept_until)
            return
        self.since, self._accept_until = wall_ms(), accept_until
        self._listeners.ask_to_close(True)
        self._signals.draining("request")
        self._task = asyncio.create_task(self._run(), name="drain")

    def cancel(self) -> bool:
        """Takes it back: all is taken again. False: too late, the relay is stopping."""
        if self._ended or self.since is None:
            return not self._ended
        self._give_up()
        self.since, self._closed = None, False
        intake = self._edge.intake
        intake.chats = intake.open = True
        self._watch.reconciler.paused = False
        self._listeners.ask_to_close(False)
        self._signals.drain_cancelled()
        return True

    def end(self) -> None:
        """The relay stops, and drains in its own way; what is not taken any more stays so."""
        self._ended = True
        self.since = self.since or wall_ms()
        self._give_up()

    def _give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        # In this order, so that senders who do not stop cannot put off the end: what came first is published while
        # the rest is still taken, and only then the door is closed, behind a rest that takes as long as a batch.
        loop, intake = asyncio.get_running_loop(), self._edge.intake
        await until(lambda: loop.time() >= self._accept_until)
        intake.chats = False
        await until(lambda: not self._edge.chats_open)
        accepted = self._journal.events.last_offset
        await until(lambda: self._publishers.have(accepted))
        intake.open = False
        self._watch.reconciler.paused = True
        await until(lambda: not self._edge.busy and not self._watch.reconciler.working)
        await self._journal.written()
        self._closed = True
        await until(self._is_published)
        self._signals.drained()

    def _is_published(self) -> bool:
        return self._publishers.have(self._journal.events.last_offset)
