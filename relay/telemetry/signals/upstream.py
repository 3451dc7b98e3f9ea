"""Signals about the upstream, from the parts that call it."""

from __future__ import annotations

from contextlib import suppress

from relay.telemetry.signals.certificates import CertificateSignals
from relay.telemetry.telemetry import Telemetry


class UpstreamSignals:
    """Whether the upstream is there and lets the relay in, as of the last time that somebody tried."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._up = telemetry.metrics.gauge(
            "relay_upstream_up", "0 while the upstream is unreachable, or refuses or fails polls; 1 otherwise."
        )
        self._reached = self._polled = True
        self._tried = False
        self._up.set(1)
        self._certificates = CertificateSignals(telemetry)
        self._shown = b""
        self._log = telemetry.log
        self._trouble = ""

    @property
    def up(self) -> bool | None:
        """What the gauge says; ``None`` before anybody has tried."""
        return (self._reached and self._polled) if self._tried else None

    def upstream_reached(self, reached: bool) -> None:
        """A connection was used, or could not be made."""
        self._reached = reached
        self._note()

    def connection_failed(self, error: str, hint: str, egress_proxy: str | None) -> None:
        """No connection could be made. The proxy has no credentials here; a trouble that stays is one line."""
        if self._reached or error != self._trouble:
            self._log.warning("upstream not reached", error=error, hint=hint, egress_proxy=egress_proxy)
        self._trouble = error
        self.upstream_reached(False)

    def certificate_shown(self, der: bytes) -> None:
        """The upstream has shown this certificate, and it is trusted."""
        if der == self._shown:
            return
        from relay.core.certificates import validity_of  # which an upstream in clear text does not need

        self._shown = der
        with suppress(ValueError):  # OpenSSL takes more forms than RFC 5280 has
            self._certificates.read([("upstream", validity_of(der))])

    def egress_proxy_used(self, egress_proxy: str, source: str) -> None:
        """New connections go through this proxy, which the setting or variable ``source`` names."""
        self._log.info("upstream through an egress proxy", egress_proxy=egress_proxy, source=source)

    def polls_answered(self, answered: bool) -> None:
        """Polls are answered as they should be, or are refused or failed at: requests of clients may still do well."""
        self._polled = answered
        self._note()

    def _note(self) -> None:
        self._tried = True
        self._up.set(self._reached and self._polled)
