"""What all unit tests stand on."""

import pytest

from relay import clocks


@pytest.fixture(autouse=True)
def clocks_that_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock may be set while the tests run, which lasts minutes; relay would go by it, rightly."""
    monkeypatch.setattr(clocks, "_AHEAD", clocks.wall_ms() - clocks._passed())
