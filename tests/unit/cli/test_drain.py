"""What `relay drain` refuses. What it does is in tests/integration/test_drain_*.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.cli.drain import drain
from relay.core.errors import RelayError


def test_without_a_sink_there_is_nothing_to_do(tmp_path: Path) -> None:
    """It would wait, or say that everything is published."""
    config = tmp_path / "relay.yaml"
    config.write_text(f"journal: {{path: {tmp_path / 'relay.db'}}}\n")
    with pytest.raises(RelayError) as refused:
        drain(timeout=1.0, stopped=True, config=config)
    assert refused.value.code == "no_sink"
    assert not (tmp_path / "relay.db").exists()
