"""Signals about a sink's claims in the index that replicas share."""

from __future__ import annotations

from relay.core.errors import RelayError
from relay.telemetry.telemetry import Telemetry

RESULTS = ("verified", "unverified", "absorbed", "overrun")


class ClaimSignals:
    def __init__(self, telemetry: Telemetry, label: str) -> None:
        metrics = telemetry.metrics
        up = metrics.gauge("relay_shared_index_up", "1 while the shared index answers.", "sink")
        facts = metrics.counter(
            "relay_shared_index_facts",
            "Events that replicas share, by the result of the index: verified, unverified, absorbed, overrun.",
            "sink",
            "result",
        )
        self._up = up.labels(label)
        self._facts = {result: facts.labels(label, result) for result in RESULTS}
        self._log = telemetry.log.bind(sink=label)
        self._down: str | None = None
        self._up.set(0)

    def index_answered(self) -> None:
        """The index is there."""
        if self._down is not None:
            self._log.info("shared index is back")
        self._down = None
        self._up.set(1)

    def index_lost(self, error: RelayError) -> None:
        """Unavailable or slow: events are published unverified. Logged once per cause."""
        self._up.set(0)
        if self._down != error.code:
            message = "shared index unavailable, publishing unverified"
            self._log.warning(message, code=error.code, error=error.message, hint=error.hint)
        self._down = error.code

    def index_emptied(self) -> None:
        """The index has lost its memory: facts that were published before can be published again."""
        self._log.error("shared index lost its data; replicas may publish repeated events")

    def facts_settled(self, *, verified: int, unverified: int, absorbed: int) -> None:
        """A batch is done with: published after asking the index, without, or left to another replica."""
        self._facts["verified"].inc(verified)
        self._facts["unverified"].inc(unverified)
        self._facts["absorbed"].inc(absorbed)

    def facts_forgotten(self, count: int) -> None:
        """The index has been away for so long that not everything can be confirmed to it any more."""
        self._log.warning("facts published without the shared index will not be added to it", events=count)

    def claims_overrun(self, count: int) -> None:
        """Another replica took over claims of ours before we confirmed them: those events may be on the sink twice."""
        self._facts["overrun"].inc(count)
        self._log.error("claims were taken over before they were confirmed; those events may be repeated", events=count)
