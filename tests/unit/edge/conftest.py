"""What several rooms of the edge have in common under test."""

from __future__ import annotations

import pytest

from relay.edge.http import listener, server


@pytest.fixture
def swift_parting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was refused is closed soon after: client and server share a loop, so nobody reads late."""
    monkeypatch.setattr(server, "PARTING", 0.1)
    monkeypatch.setattr(listener, "_LINGERING", 0.1)
