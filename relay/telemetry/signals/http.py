"""Signals about requests that failed on a listener, whatever their route."""

from __future__ import annotations

from relay.telemetry.log import LogRateLimiter
from relay.telemetry.telemetry import Telemetry


class HttpSignals:
    def __init__(self, telemetry: Telemetry) -> None:
        self._log = telemetry.log
        self._malformed = LogRateLimiter()
        self._refused = LogRateLimiter()

    def request_failed(self, route: str, error: BaseException) -> None:
        """A bug or an unforeseen state behind a 500."""
        self._log.error("request failed", route=route, error=type(error).__name__, exc_info=error)

    def request_malformed(self, peer: str, kind: str) -> None:
        """Something that is not HTTP arrived; ``kind`` is the parser's class of error, its text would quote it."""
        if (suppressed := self._malformed.allow()) is not None:
            self._log.warning("request malformed", peer=peer, kind=kind, **suppressed)

    def connection_refused(self, peer: str, reason: str) -> None:
        """What has to come before HTTP did not: a handshake, a proxy's header."""
        if (suppressed := self._refused.allow()) is not None:
            self._log.warning("connection refused", peer=peer, reason=reason, **suppressed)

    def accept_failed(self, reason: str) -> None:
        """No connection can be accepted for a second: the process has as many files open as it may."""
        self._log.error("connections cannot be accepted", reason=reason)
