"""Signals about chats: how they end, how long they and their first token take, how many tokens they use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from prometheus_client import Counter

from relay.core.chat.events import TOKENS, ChatData, Opening
from relay.telemetry.gen_ai import answer_attributes, failure, request_attributes, span_name
from relay.telemetry.log import LogRateLimiter
from relay.telemetry.metrics import OTHER, SECONDS, LabelValues
from relay.telemetry.signals.clients import MAX_CLIENTS
from relay.telemetry.spans import Span
from relay.telemetry.telemetry import Telemetry

MAX_MODELS = 100
"""Models that get a label of their own; a client may ask for any name, so there must be an end to them."""

MAX_SPENDERS = 1000
"""Combinations of API, client and model that get a series of their own for each kind of tokens."""

_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class ChatSignals:
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        metrics = telemetry.metrics
        self._active = metrics.gauge("relay_chats_active", "Open chats.")
        self._ended = metrics.counter("relay_chats", "Chats ended, by outcome.", "api", "outcome", "reason")
        self._irregular = metrics.counter(
            "relay_chats_irregular",
            "Chats whose answer was not as its API has it, by what was wrong: one chat may have several.",
            "api",
            "irregularity",
        )
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
        self._tokens = metrics.counter(
            "relay_chat_tokens", "Tokens that the upstream reported.", "kind", "api", "client", "model"
        )
        self._models, self._clients = LabelValues(MAX_MODELS), LabelValues(MAX_CLIENTS)
        self._spenders: dict[tuple[str, str, str], dict[str, Counter]] = {}
        self._limiters: dict[str, LogRateLimiter] = {}
        self._spans: dict[str, Span] = {}

    def chat_begun(self, opening: Opening) -> Opening:
        """A chat request was read, in its client's trace. Answers it in the trace of what belongs under it."""
        spans = self._telemetry.spans
        if not spans.on:
            return opening
        span = spans.begin(span_name(opening), "client", request_attributes(opening), parent=opening.traceparent)
        self._spans[opening.chat_id] = span
        return replace(opening, traceparent=span.traceparent)

    def chat_opened(self) -> None:
        """A chat request was admitted."""
        self._active.inc()

    def chat_sent(self, seconds: float) -> None:
        """Its request is on the way to the upstream, so long after it was read."""
        self._overhead.observe(seconds)

    def chat_ended(self, data: ChatData, asked: str | None = None, irregular: Iterable[str] = ()) -> None:
        """It has ended, and this is what its event says. ``asked``: the model that was asked for; ``irregular``: what
        about the answer was not as its API has it."""
        self._active.dec()
        span = self._spans.pop(data["chat_id"], None)
        if span is not None:
            span.note(answer_attributes(data))
            span.end(error=failure(data))
        if self._telemetry.inferences.on:
            self._telemetry.inferences.ended(asked, data, span.traceparent if span is not None else None)
        self._count(data)
        for irregularity in irregular:
            self._irregular.labels(data["api"] or "", irregularity).inc()
        timings = data["timings"]
        if timings["duration_ms"] is not None:
            self._duration.observe(timings["duration_ms"] / 1000)
        if timings["first_token_ms"] is not None:
            series = self._first_token.series(self._models.of(data["model"] or OTHER))
            series.observe(timings["first_token_ms"] / 1000)
        if data["outcome"] == "failed":
            self._tell_failure(data)

    def chats_closed(self, endings: Sequence[ChatData]) -> None:
        """Chats that were under way when the relay was killed have their ending, and this is what their events say."""
        for data in endings:
            self._count(data)
        self._telemetry.log.warning("open chats from before the restart closed", chats=len(endings))

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

    def _count(self, data: ChatData) -> None:
        """Each ending once, and its tokens."""
        self._ended.labels(data["api"] or "", data["outcome"], data["reason"] or "").inc()
        if any(data["tokens"].values()):
            spender = self._spender(data)
            for kind in TOKENS:
                if tokens := data["tokens"][kind]:
                    spender[kind].inc(tokens)

    def _spender(self, data: ChatData) -> dict[str, Counter]:
        """The counters of who spends: only chats that used tokens get there, so no made-up name does."""
        api, client = data["api"] or "", self._clients.of(data["client"] or "")
        key = api, client, self._models.of(data["model"] or OTHER)
        if key not in self._spenders and len(self._spenders) >= MAX_SPENDERS:
            key = api, client, OTHER
        if key not in self._spenders:
            self._spenders[key] = {kind: self._tokens.labels(kind, *key) for kind in TOKENS}
        return self._spenders[key]

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
