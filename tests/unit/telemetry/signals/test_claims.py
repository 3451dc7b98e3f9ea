"""Signals about the shared index: said once, counted each time."""

from __future__ import annotations

import pytest

from relay.core.publishing.claims import IndexUnavailable
from relay.telemetry.signals.claims import ClaimSignals
from relay.telemetry.telemetry import Telemetry


def test_an_index_that_is_away_is_logged_once_per_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """The log would fill with a line for each batch, or an operator would not hear that repetitions are possible."""
    signals = ClaimSignals(Telemetry(), "kafka")
    for _ in range(3):
        signals.index_lost(IndexUnavailable("timeout", "No answer."))
    signals.index_lost(IndexUnavailable("unreachable", "Gone."))
    signals.index_answered()
    signals.index_answered()
    said = capsys.readouterr().out
    assert said.count("publishing unverified") == 2
    assert said.count("shared index is back") == 1


def test_facts_that_will_not_be_confirmed_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """What an index that was away for long will never know would stay unknown to the operator, too."""
    ClaimSignals(Telemetry(), "kafka").facts_forgotten(7)
    assert "will not be added to it" in capsys.readouterr().out
