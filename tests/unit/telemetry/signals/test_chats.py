"""The metrics and the log of chats."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from relay.core.chat.events import ChatData
from relay.telemetry.signals import chats as module
from relay.telemetry.signals.chats import ChatSignals
from relay.telemetry.telemetry import Telemetry


def data(**changes: Any) -> ChatData:
    ended: dict[str, Any] = {
        "chat_id": "s1",
        "model": "a/m",
        "outcome": "completed",
        "reason": None,
        "http_status": 200,
        "tokens": {"input": 5, "output": 7, "cached": 3, "cache_written": 0, "reasoning": None},
        "timings": {"started_at": "", "first_byte_ms": 1, "first_token_ms": 20, "duration_ms": 900},
        "client": "web",
    }
    return ended | changes  # type: ignore[return-value]


def sample(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.metrics.registry.get_sample_value(name, labels)


def test_an_ending_moves_every_metric_of_the_contract() -> None:
    """A dashboard would show nothing where the contract promises a figure."""
    telemetry = Telemetry()
    signals = ChatSignals(telemetry)
    signals.chat_opened()
    signals.chat_sent(0.0002)
    assert sample(telemetry, "relay_chats_active") == 1
    signals.chat_ended(data())
    assert sample(telemetry, "relay_chats_active") == 0
    assert sample(telemetry, "relay_chats_total", outcome="completed", reason="") == 1
    assert sample(telemetry, "relay_chat_first_token_seconds_bucket", model="a/m", le="0.025") == 1
    assert sample(telemetry, "relay_chat_duration_seconds_sum") == 0.9
    assert sample(telemetry, "relay_chat_overhead_seconds_bucket", le="0.00025") == 1
    kinds = {"input": 5, "output": 7, "cached": 3, "cache_written": None, "reasoning": None}
    assert {kind: sample(telemetry, "relay_chat_tokens_total", kind=kind) for kind in kinds} == kinds


def test_the_models_that_get_a_label_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client could fill the memory of every Prometheus with names of models."""
    monkeypatch.setattr(module, "MAX_MODELS", 2)
    telemetry = Telemetry()
    signals = ChatSignals(telemetry)
    for name in ("a", "b", "c", "d", "a", None):
        signals.chat_ended(data(model=name))
    counts = {name: sample(telemetry, "relay_chat_first_token_seconds_count", model=name) for name in "abcd"}
    assert counts == {"a": 2, "b": 1, "c": None, "d": None}
    assert sample(telemetry, "relay_chat_first_token_seconds_count", model="other") == 3


def test_a_failure_is_reported_without_what_was_said() -> None:
    """An operator would not hear of failures, or find conversations in the log."""
    signals = ChatSignals(Telemetry())
    with capture_logs() as lines:
        signals.chat_ended(data(outcome="failed", reason="upstream_reset", error={"message": "secret"}))
        signals.chat_refused("too_many_chats", "web")
        signals.chats_closed(3)
        for _ in range(20):
            signals.chat_ended(data(outcome="failed", reason="upstream_reset"))
    assert [line["event"] for line in lines[:3]] == [
        "chat failed",
        "chat refused",
        "open chats from before the restart closed",
    ]
    assert "secret" not in str(lines)
    assert len(lines) < 10
