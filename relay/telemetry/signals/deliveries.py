"""Signals about the deliveries of one source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from relay.core.event import Event, Receipt
from relay.telemetry.log import LogRateLimiter
from relay.telemetry.metrics import SECONDS
from relay.telemetry.signals.journal import dead_letters_made
from relay.telemetry.spans import Span, code_of
from relay.telemetry.telemetry import Telemetry

RESULTS: Final = ("accepted", "duplicate", "dead", "ignored", "rejected", "unavailable")
"""How a delivery can be answered: with a 2xx, refused for what it is, or since relay cannot take it now."""


class DeliverySignals:
    """Signals about the deliveries of one source. A delivery costs no look-up of its series."""

    def __init__(self, telemetry: Telemetry, source: str) -> None:
        self._telemetry, self._source = telemetry, source
        metrics = telemetry.metrics
        answered = metrics.counter("relay_deliveries", "Deliveries answered, by result.", "source", "result")
        self._count: dict[str, Callable[[], None]] = {result: answered.labels(source, result).inc for result in RESULTS}
        self._ack = metrics.histogram(
            "relay_webhook_ack_seconds", "Time from the request headers to the answer.", SECONDS, "source"
        ).series(source)
        self._dead_letters = dead_letters_made(telemetry)
        self._limiters: dict[str, LogRateLimiter] = {}
        self.traced = telemetry.spans.on
        """Whether deliveries have spans. Looked at for each of them, so that those without pay for no call."""

    def delivery_begun(self, parent: str | None, at: int) -> Span:
        """A delivery that arrived ``at`` (epoch nanoseconds), and can be read, is about to be written."""
        attributes = {"http.request.method": "POST", "http.route": f"/webhooks/{self._source}/{{token}}"}
        return self._telemetry.spans.begin(f"webhook {self._source}", "server", attributes, parent=parent, at=at)

    def delivery_written(self, span: Span, event: Event, receipt: asyncio.Future[Receipt]) -> None:
        """The journal has answered, or failed, or its sender has hung up: it is written all the same."""
        if receipt.cancelled():
            span.end(error="client_gone")
            return
        if (error := receipt.exception()) is not None:
            span.end(error=code_of(error))
            return
        span.note(
            {
                "http.response.status_code": 200,
                "relay.delivery.result": receipt.result().result,
                "cloudevents.event_id": receipt.result().event_id,
                "cloudevents.event_source": event.source,
                "cloudevents.event_subject": event.subject,
            }
        )
        span.end()

    def delivery_answered(self, result: str, seconds: float) -> None:
        """A delivery got its 2xx: accepted, duplicate, dead or ignored."""
        self._count[result]()
        self._ack.observe(seconds)

    def delivery_buried(self, reason: str, dead_letter_id: str) -> None:
        """A delivery could not be normalized and is kept as a dead letter."""
        self._dead_letters.labels(reason).inc()
        self._telemetry.log.warning(
            "delivery became a dead letter", source=self._source, reason=reason, dead_letter=dead_letter_id
        )

    def delivery_rejected(self, code: str, status: int, peer: str) -> None:
        """A delivery was refused: ``rejected`` for what it is, ``unavailable`` since relay cannot take it now (5xx).

        The sender knows. Of many alike, not each is logged.
        """
        self._count["unavailable" if status >= 500 else "rejected"]()
        if (suppressed := self._limiters.setdefault(code, LogRateLimiter()).allow()) is not None:
            self._telemetry.log.warning(
                "delivery rejected", source=self._source, code=code, status=status, peer=peer, **suppressed
            )

    def normalizing_failed(self, error: BaseException) -> None:
        """A bug in a source; the delivery becomes a dead letter."""
        self._telemetry.log.error("source failed", source=self._source, error=type(error).__name__, exc_info=error)
