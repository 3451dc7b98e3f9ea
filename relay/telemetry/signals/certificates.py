"""Signals about certificates: until when those that relay shows, and the upstream's, are valid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from relay.telemetry.telemetry import Telemetry

if TYPE_CHECKING:
    from relay.core.certificates import Validity


class CertificateSignals:
    def __init__(self, telemetry: Telemetry) -> None:
        self._begins = telemetry.metrics.gauge(
            "relay_certificate_not_before_timestamp_seconds",
            "From when a certificate is valid, in epoch seconds.",
            "use",
        )
        self._ends = telemetry.metrics.gauge(
            "relay_certificate_not_after_timestamp_seconds",
            "Until when a certificate is valid, in epoch seconds.",
            "use",
        )

    def read(self, found: Iterable[tuple[str, Validity]]) -> None:
        """These are in force, each with what it is used for: ``server.tls``, ``admin.tls``, ``upstream``, a sink."""
        for use, validity in found:
            self._begins.labels(use).set(validity.begins)
            self._ends.labels(use).set(validity.ends)
