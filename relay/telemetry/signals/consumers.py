"""Signals about consumers that read events over HTTP."""

from __future__ import annotations

from typing import Final

from relay.telemetry.log import LogRateLimiter
from relay.telemetry.telemetry import Telemetry

OUTCOMES: Final = ("done", "left", "cut", "stopped", "revoked", "failed", "refused")


class ConsumerSignals:
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        metrics = telemetry.metrics
        self._active = metrics.gauge("relay_consumers_active", "Open answers of GET /v1/events.", "kind")
        self._ended = metrics.counter(
            "relay_consumers",
            "Answers of GET /v1/events, by how they ended: cut if the client read nothing, refused if too many.",
            "kind",
            "outcome",
        )
        for kind in ("page", "live"):
            self._active.labels(kind).set(0)
            for outcome in OUTCOMES:
                self._ended.labels(kind, outcome)
        self._cut, self._refused = LogRateLimiter(), LogRateLimiter()

    def consumer_begun(self, kind: str) -> None:
        """An answer is under way."""
        self._active.labels(kind).inc()

    def consumer_ended(self, kind: str, outcome: str, peer: str) -> None:
        """It has ended. One that was cut for taking nothing is worth a line."""
        self._active.labels(kind).dec()
        self._ended.labels(kind, outcome).inc()
        if outcome == "cut" and (suppressed := self._cut.allow()) is not None:
            self._telemetry.log.warning("consumer cut", kind=kind, reason="send_timeout", peer=peer, **suppressed)

    def consumer_refused(self, kind: str, peer: str) -> None:
        """There are as many as there may be."""
        self._ended.labels(kind, "refused").inc()
        if (suppressed := self._refused.allow()) is not None:
            self._telemetry.log.warning("consumer refused", kind=kind, reason="max_consumers", peer=peer, **suppressed)
