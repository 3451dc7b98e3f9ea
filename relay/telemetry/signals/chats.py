"""Signals about chats: how they end, how long they and their first token take, how many tokens they use."""

from __future__ import annotations

from dataclasses import replace

from relay.core.chat.events import TOKENS, ChatData, Opening
from relay.telemetry.gen_ai import answer_attributes, request_attributes
from relay.telemetry.log import LogRateLimiter
from relay.telemetry.metrics import SECONDS, Series
from relay.telemetry.spans import Span
from relay.telemetry.telemetry import Telemetry

MAX_MODELS = 100
"""Models that get a label of their own; a client may ask for any name, so there must be an end to them."""

OTHER = "other"

_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class ChatSignals:
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        metrics = telemetry.metrics
        self._active = metrics.gauge("relay_chats_active", "Open chats.")
        self._ended = metrics.counter("relay_chats", "Chats ended, by outcome.", "outcome", "reason")
        self._first_token = metrics.histogram(
            "relay_chat_first_token_seconds", "Time from a chat request to its first token.", SECONDS, "model"
        )
        self._duration = metrics.histogram(
            "relay_chat_duration_seconds", "Time from a chat request to its end.", SECONDS
        ).series()
        self._overhead = metrics.histogram(
            "relay_chat_overhead_seconds",
            "Time that relay adds before the first byte: from request read to request sent, including the connection.",
            _OVERHEAD,
        ).series()
        self._tokens = metrics.counter("relay_chat_tokens", "Tokens that the upstream reported.", "kind")
        self._models: dict[str, Series] = {}
        self._limiters: dict[str, LogRateLimiter] = {}
        self._spans: dict[str, Span] = {}

    def chat_begun(self, opening: Opening) -> Opening:
        """A chat request was read, in its client's trace. Answers it in the trace of what belongs under it."""
        spans = self._telemetry.spans
        if not spans.on:
            return opening
        name = f"chat {opening.model_asked}" if opening.model_asked else "chat"
        span = spans.begin(name, "client", request_attributes(opening), parent=opening.traceparent)
        self._spans[opening.chat_id] = span
        return replace(opening, traceparent=span.traceparent)

    def chat_opened(self) -> None:
        """A chat request was admitted."""
        self._active.inc()

    def chat_sent(self, seconds: float) -> None:
        """Its request is on the way to the upstream, so long after it was read."""
        self._overhead.observe(seconds)

    def chat_ended(self, data: ChatData) -> None:
        """It has ended, and this is what its event says."""
        self._active.dec()
        if (span := self._spans.pop(data["chat_id"], None)) is not None:
            span.note(answer_attributes(data))
            span.end(error=data["reason"] if data["outcome"] == "failed" else None)
        self._ended.labels(data["outcome"], data["reason"] or "").inc()
        timings = data["timings"]
        if timings["duration_ms"] is not None:
            self._duration.observe(timings["duration_ms"] / 1000)
        if timings["first_token_ms"] is not None:
            self._series(data["model"]).observe(timings["first_token_ms"] / 1000)
        for kind in TOKENS:
            if tokens := data["tokens"][kind]:
                self._tokens.labels(kind).inc(tokens)
        if data["outcome"] == "failed":
            self._tell_failure(data)

    def chats_closed(self, count: int) -> None:
        """Chats that were under way when the relay was killed have their ending."""
        self._ended.labels("failed", "relay_restarted").inc(count)
        self._telemetry.log.warning("open chats from before the restart closed", chats=count)

    def chats_unrecorded(self, count: int) -> None:
        """The relay ends, and the journal has not taken all events of these chats."""
        self._telemetry.log.error("chat events not recorded", chats=count)

    def chat_refused(self, code: str, client: str | None) -> None:
        """A chat request was not admitted; the client knows."""
        if (suppressed := self._limiters.setdefault(code, LogRateLimiter()).allow()) is not None:
            self._telemetry.log.warning("chat refused", code=code, client=client, **suppressed)

    def recording_failed(self, error: BaseException) -> None:
        """A bug in the recorder; the stream itself goes on."""
        self._telemetry.log.error("chat recording failed", error=type(error).__name__, exc_info=error)

    def _series(self, model: str | None) -> Series:
        name = model or OTHER
        if name not in self._models and len(self._models) >= MAX_MODELS:
            name = OTHER
        series = self._models.get(name)
        if series is None:
            series = self._models[name] = self._first_token.series(name)
        return series

    def _tell_failure(self, data: ChatData) -> None:
        reason = data["reason"] or ""
        if (suppressed := self._limiters.setdefault(reason, LogRateLimiter()).allow()) is not None:
            self._telemetry.log.warning(
                "chat failed",
                reason=reason,
                status=data["http_status"],
                chat_id=data["chat_id"],
                client=data["client"],
                **suppressed,
            )
