"""Signals about the archive of outputs."""

from __future__ import annotations

from typing import Final

from relay.telemetry.metrics import SECONDS
from relay.telemetry.telemetry import Telemetry

_NEVER: Final = float("nan")


class OutputSignals:
    def __init__(self, telemetry: Telemetry) -> None:
        metrics = telemetry.metrics
        self._log = telemetry.log
        ended = metrics.counter("relay_outputs", "Outputs of tasks that have ended, by how.", "result")
        self._ended = {result: ended.labels(result) for result in ("archived", "lost")}
        self._failures = metrics.counter("relay_outputs_failures", "Tries to archive an output that failed.", "reason")
        self._bytes = metrics.counter("relay_outputs_bytes", "Bytes of outputs that were archived.")
        self._seconds = metrics.histogram(
            "relay_outputs_seconds", "From the end of a task to the archived copy of its output.", SECONDS
        ).series()
        self._waiting = metrics.gauge("relay_outputs_waiting", "Outputs that are neither archived nor lost.")
        self._nearest = metrics.gauge(
            "relay_outputs_nearest_deadline_seconds",
            "Until the link of a waiting output ends, as far as is known; below 0: it has ended. NaN: none waits.",
        )
        self._nearest.set(_NEVER)
        self._down: str | None = None

    def archived(self, size: int, seconds: float) -> None:
        """An output is in the store, and its event in the journal."""
        self._ended["archived"].inc()
        self._bytes.inc(size)
        self._seconds.observe(max(0.0, seconds))

    def lost(self, task_id: str, index: int, reason: str) -> None:
        """An output cannot be had any more."""
        self._ended["lost"].inc()
        hint = "relay outputs retry tries it again; docs/runbook.md says what the reasons mean."
        self._log.warning("output lost", task_id=task_id, index=index, reason=reason, hint=hint)

    def attempt_failed(self, task_id: str, index: int, reason: str, message: str, retry_in: float) -> None:
        """A try failed; there will be another one."""
        self._failures.labels(reason).inc()
        self._log.debug(
            "output not archived yet",
            task_id=task_id,
            index=index,
            reason=reason,
            error=message,
            retry_in=round(retry_in, 3),
        )

    def store_failed(self, reason: str, message: str, hint: str, retry_in: float) -> None:
        """The store takes nothing for a while. Logged once per cause, not once per pause."""
        self._failures.labels(reason).inc()
        log = self._log.debug if self._down == reason else self._log.warning
        log("archiving pauses", reason=reason, error=message, hint=hint, retry_in=round(retry_in, 3))
        self._down = reason

    def store_answered(self) -> None:
        """The store took an output."""
        if self._down is not None:
            self._log.info("archiving resumed", after=self._down)
            self._down = None

    def bug(self, error: BaseException) -> None:
        """A bug in a try; the output is tried again."""
        self._log.error("archiving failed", error=type(error).__name__, exc_info=error)

    def looked_at(self, waiting: int, nearest: float | None) -> None:
        """A scrape is being answered. ``nearest``: seconds."""
        self._waiting.set(waiting)
        self._nearest.set(_NEVER if nearest is None else nearest)
