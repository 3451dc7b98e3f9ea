"""Signals about clients of the proxy that meet a limit of their own."""

from __future__ import annotations

from relay.core.chat.quota import LIMITS as PER_MINUTE
from relay.telemetry.log import LogRateLimiter
from relay.telemetry.metrics import LabelValues
from relay.telemetry.telemetry import Telemetry

LIMITS = (*PER_MINUTE, "max_concurrent")
"""The limits, by their settings under ``proxy.clients.<name>``."""

MAX_CLIENTS = 100
"""Clients that get a label of their own."""


class ClientSignals:
    def __init__(self, telemetry: Telemetry) -> None:
        self._log = telemetry.log
        self._limited = telemetry.metrics.counter(
            "relay_clients_limited", "Requests refused because their client had used up a limit.", "client", "limit"
        )
        self._names = LabelValues(MAX_CLIENTS)
        self._limiters: dict[str, LogRateLimiter] = {}

    def limited(self, client: str, limit: str) -> None:
        """A request was refused, because its client has used up this limit; the client knows."""
        name = self._names.of(client)
        self._limited.labels(name, limit).inc()
        if (suppressed := self._limiters.setdefault(name, LogRateLimiter()).allow()) is not None:
            self._log.warning("client limited", client=client, limit=limit, **suppressed)
