"""Signals about dead letters, from the parts that make them and from the journal, which holds them."""

from __future__ import annotations

from relay.telemetry.telemetry import Telemetry


class DeadLetterSignals:
    """Signals about dead letters."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._log, metrics = telemetry.log, telemetry.metrics
        self._made = metrics.counter("relay_dead_letters", "Dead letters created.", "reason")
        self._held = metrics.gauge("relay_dead_letters_held", "Dead letters held.")
        self._expired = metrics.counter(
            "relay_dead_letters_expired",
            "Dead letters that expired: too old, or the journal too large.",
            "cause",
        )

    def dead_letter_made(self, reason: str) -> None:
        """One was made; its maker writes the line."""
        self._made.labels(reason).inc()

    def dead_letters_expired(self, count: int, cause: str) -> None:
        """Dead letters that nobody took care of are gone: by their ``age``, or for the journal's ``size``."""
        self._expired.labels(cause).inc(count)
        self._log.warning("dead letters expired", count=count, cause=cause)

    def dead_letters_looked_at(self, held: int) -> None:
        """A scrape is being answered."""
        self._held.set(held)
