"""Signals about the registry of tasks, and the polling for tasks whose webhook does not come."""

from __future__ import annotations

from typing import Final, get_args

from relay.core.tasks.reconcile import Result
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.spans import NOWHERE, Span
from relay.telemetry.telemetry import Telemetry

_HINTS: Final = {
    "unauthorized": "Check upstream.api_key: the upstream refuses relay's polls. No task ends because of this.",
    "rate_limited": "Lower reconcile.max_rate if this continues.",
}
_UNANSWERED: Final = frozenset({"unauthorized", "rate_limited", "unavailable", "unreadable", "unreachable", "timeout"})
_DOWN: Final = "Check upstream.base_url and the network; polling resumes by itself."


class TaskSignals:
    def __init__(self, telemetry: Telemetry, upstream: UpstreamSignals) -> None:
        metrics = telemetry.metrics
        self._telemetry, self._log, self._upstream = telemetry, telemetry.log, upstream
        self._pending = metrics.gauge("relay_tasks_pending", "Registered tasks that have not ended.")
        self._overdue = metrics.gauge("relay_tasks_overdue", "Tasks whose poll is due but has not been made.")
        polls = metrics.counter("relay_polls", "Polls, by result.", "result")
        self._polls = {result: polls.labels(result) for result in (*get_args(Result), "abandoned")}
        self._expiring = metrics.gauge(
            "relay_publish_lag_expiring_events",
            "Events not yet received by the sink whose outputs expire soon or have expired; among its oldest 1000.",
            "sink",
        )
        self._paused: str | None = None

    def poll_begun(self, task_id: str) -> Span:
        """A task is about to be polled, in this span."""
        attributes = {"http.request.method": "GET", "relay.task.id": task_id}
        return self._telemetry.spans.begin("poll task", "client", attributes)

    def polled(self, result: str, span: Span = NOWHERE) -> None:
        """A poll was made; ``result`` as in ``relay.core.tasks.reconcile``, or ``abandoned``."""
        self._polls[result].inc()
        span.note({"relay.poll.result": result})
        span.end(error=result if result in _UNANSWERED else None)

    def upstream_answered(self) -> None:
        """The upstream answered as it should."""
        self._upstream.polls_answered(True)
        if self._paused is not None:
            self._log.info("polling resumed", after=self._paused)
            self._paused = None

    def polling_paused(self, result: str, seconds: float) -> None:
        """Nothing is polled for a while. Logged once per cause, not once per pause."""
        if result != "rate_limited":
            self._upstream.polls_answered(False)
        log = self._log.debug if self._paused == result else self._log.warning
        log("polling pauses", reason=result, retry_in=round(seconds, 3), hint=_HINTS.get(result, _DOWN))
        self._paused = result

    def poll_failed(self, error: BaseException) -> None:
        """A bug in a poll; the task is polled again."""
        self._log.error("poll failed", error=type(error).__name__, exc_info=error)

    def task_abandoned(self, task_id: str, reason: str) -> None:
        """A task ended without anybody knowing how."""
        self._log.warning("task abandoned", task_id=task_id, reason=reason)

    def ending_was_known(self) -> None:
        """A task turned out to have ended before it was registered."""
        self._log.debug("task had ended before it was registered")

    def tasks_looked_at(self, *, pending: int, overdue: int) -> None:
        """A scrape is being answered."""
        self._pending.set(pending)
        self._overdue.set(overdue)

    def outputs_looked_at(self, sink: str, expiring: int) -> None:
        """A scrape is being answered: so many of a sink's pending events have outputs that are about to expire."""
        self._expiring.labels(sink).set(expiring)
