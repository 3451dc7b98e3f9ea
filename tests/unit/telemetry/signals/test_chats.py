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
        "api": "chat_completions",
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
    signals.chat_ended(data(), irregular=["after_end"])
    assert sample(telemetry, "relay_chats_active") == 0
    assert sample(telemetry, "relay_chats_irregular_total", api="chat_completions", irregularity="after_end") == 1
    assert sample(telemetry, "relay_chats_total", api="chat_completions", outcome="completed", reason="") == 1
    assert sample(telemetry, "relay_chat_first_token_seconds_bucket", model="a/m", le="0.025") == 1
    assert sample(telemetry, "relay_chat_duration_seconds_sum") == 0.9
    assert sample(telemetry, "relay_chat_overhead_seconds_bucket", le="0.00025") == 1
    kinds = {"input": 5, "output": 7, "cached": 3, "cache_written": None, "reasoning": None}
    who = {"api": "chat_completions", "client": "web", "model": "a/m"}
    found = {kind: sample(telemetry, "relay_chat_tokens_total", kind=kind, **who) or None for kind in kinds}
    assert found == {kind: tokens or None for kind, tokens in kinds.items()}


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


def test_those_who_spend_tokens_are_bounded_and_no_token_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients times models could fill the memory of every Prometheus; or spending would be missing from the sums."""
    monkeypatch.setattr(module, "MAX_SPENDERS", 3)
    monkeypatch.setattr(module, "MAX_CLIENTS", 3)
    telemetry = Telemetry()
    signals = ChatSignals(telemetry)
    for client in ("web", "batch", "ci", "more", None):
        for model in ("a", "b"):
            signals.chat_ended(data(client=client, model=model))
    [family] = [each for each in telemetry.metrics.registry.collect() if each.name == "relay_chat_tokens"]
    read = [each for each in family.samples if each.labels["kind"] == "input"]
    assert {(each.labels["client"], each.labels["model"]): each.value for each in read} == {
        ("web", "a"): 5,
        ("web", "b"): 5,
        ("batch", "a"): 5,
        ("batch", "other"): 5,
        ("ci", "other"): 10,
        ("other", "other"): 20,
    }


def test_no_series_is_made_for_a_model_that_answered_nothing() -> None:
    """A client could use up all labels with names that no upstream knows."""
    telemetry = Telemetry()
    none = {"input": None, "output": None, "cached": None, "cache_written": None, "reasoning": None}
    timings = {"started_at": "", "first_byte_ms": 1, "first_token_ms": None, "duration_ms": 9}
    ChatSignals(telemetry).chat_ended(data(model="made-up", outcome="failed", tokens=none, timings=timings))
    assert "made-up" not in telemetry.metrics.exposition().decode()


def test_a_failure_is_reported_without_what_was_said() -> None:
    """An operator would not hear of failures, or find conversations in the log."""
    signals = ChatSignals(Telemetry())
    with capture_logs() as lines:
        signals.chat_ended(data(outcome="failed", reason="upstream_reset", error={"message": "secret"}))
        signals.chat_refused("too_many_chats", "web")
        signals.chats_closed([data(outcome="failed", reason="relay_restarted")])
        for _ in range(20):
            signals.chat_ended(data(outcome="failed", reason="upstream_reset"))
    assert [line["event"] for line in lines[:3]] == [
        "chat failed",
        "chat refused",
        "open chats from before the restart closed",
    ]
    assert "secret" not in str(lines)
    assert len(lines) < 10
