"""Signals about tasks that are submitted, or whose results are requested, through relay."""

from __future__ import annotations

from relay.telemetry.log import LogRateLimiter
from relay.telemetry.spans import Span
from relay.telemetry.telemetry import Telemetry

RESULTS = (
    "recorded",
    "untracked",
    "unreadable",
    "refused",
    "unreachable",
    "unknown",
    "unrecorded",
    "rejected",
)
"""How a submission ended: its task recorded; no task in the answer; an answer that cannot be read; refused by the
upstream; not sent; sent without an answer; answered before its task could be recorded; rejected by the relay."""


class SubmissionSignals:
    """Past-tense calls, one per submission, and one per answer about a task that a client asked for."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        counter = telemetry.metrics.counter("relay_submissions", "Submissions, by result.", "result")
        self._count = {result: counter.labels(result).inc for result in RESULTS}
        self._limiters: dict[str, LogRateLimiter] = {}

    def submission_begun(self, parent: str | None) -> Span:
        """A submission was read, and is about to be sent, in this span."""
        return self._telemetry.spans.begin("submit task", "client", {"http.request.method": "POST"}, parent=parent)

    def task_recorded(self) -> None:
        """The task is in the journal, and the client is answered."""
        self._count["recorded"]()

    def submission_untracked(self) -> None:
        """The upstream answered without a task: there is nothing that could end later."""
        self._count["untracked"]()

    def answer_unreadable(self, reason: str, detail: str) -> None:
        """A 2xx answer in which no task can be read. It was passed on."""
        self._count["unreadable"]()
        self._warn("submission's answer could not be read", reason=reason, detail=detail)

    def submission_refused(self, status: int) -> None:
        """The upstream answered with another status than a 2xx. It was passed on."""
        self._count["refused"]()
        self._telemetry.log.debug("submission refused by the upstream", status=status)

    def submission_rejected(self, code: str) -> None:
        """The relay refused it; nothing was sent."""
        self._count["rejected"]()
        self._warn("submission rejected", reason=code)

    def upstream_unreachable(self, detail: str) -> None:
        """Nothing was sent."""
        self._count["unreachable"]()
        self._warn("submission not sent", reason="upstream_unreachable", detail=detail)

    def outcome_unknown(self, detail: str) -> None:
        """It was sent, and no whole answer came: there may be a task that nobody knows of."""
        self._count["unknown"]()
        self._warn("submission's outcome is unknown", reason="submission_outcome_unknown", detail=detail)

    def task_unrecorded(self, task_id: str) -> None:
        """The client has its answer, and the journal has not taken the task yet. It is tried on."""
        self._count["unrecorded"]()
        self._telemetry.log.error(
            "task could not be recorded yet",
            task_id=task_id,
            hint="relay keeps trying until it stops; POST /v1/tasks also watches a task.",
        )

    def task_lost(self, task_id: str) -> None:
        """The process ends, and the journal has never taken the task."""
        self._telemetry.log.critical(
            "task was not recorded", task_id=task_id, hint="Register it after the restart: POST /v1/tasks."
        )

    def address_was_used(self, task_id: str) -> None:
        """Before the upstream had answered, a delivery used the task's address for another task."""
        self._warn(
            "webhook address was used for another task",
            reason="wrong_task",
            task_id=task_id,
            hint="Only the upstream and its own clients can know the address: rotate the upstream's key.",
        )

    def _warn(self, event: str, *, reason: str, **facts: object) -> None:
        if (suppressed := self._limiters.setdefault(reason, LogRateLimiter()).allow()) is not None:
            self._telemetry.log.warning(event, reason=reason, **facts, **suppressed)
