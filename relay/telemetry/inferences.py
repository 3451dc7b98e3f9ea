"""The port of what OpenTelemetry gets of chats beside their spans: metrics and events by its conventions for
generative AI. ``relay.telemetry.otel_inferences`` stands behind it where ``telemetry.otlp`` is on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from relay.core.chat.events import ChatData


class Inferences:
    """Nobody gets anything: a subclass sends it."""

    on = False

    def ended(self, asked: str | None, data: ChatData, traceparent: str | None) -> None:
        """A chat has ended, for which the model ``asked`` was asked; ``traceparent``: its span's."""

    async def run(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Sends metrics for as long as it runs; ``refresh`` brings every gauge up to date."""

    async def close(self, timeout: float) -> None:
        """Sends what is left, for at most ``timeout`` seconds."""


SILENT: Final = Inferences()
