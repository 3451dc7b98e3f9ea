"""Which configuration counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay.cli import configured
from relay.settings import ConfigError


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RELAY_")]:  # such as the seed of a test run
        monkeypatch.delenv(name)


def test_a_file_beside_the_user_counts_only_if_none_is_named(tmp_path: Path) -> None:
    """The relay would run with another configuration than the one that was asked for."""
    assert configured.find(None) is None
    Path("relay.yaml").write_text("server: {port: 1234}")
    assert configured.find(None) == Path("relay.yaml")
    assert configured.find(tmp_path / "other.yaml") == tmp_path / "other.yaml"
    assert configured.load(None).server.port == 1234


def test_the_command_lines_own_variables_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token for `relay tail` in the environment would keep `relay serve` from starting."""
    monkeypatch.setenv("RELAY_API_TOKEN", "secret")
    assert not configured.is_configured(None)
    assert configured.load(None).server.port == 8080
    monkeypatch.setenv("RELAY_SERVER__PORT", "81")
    assert configured.is_configured(None)
    assert configured.load(None).server.port == 81


def test_a_misspelt_variable_is_still_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting from the environment would be ignored in silence."""
    monkeypatch.setenv("RELAY_API_TOKENS", "secret")
    with pytest.raises(ConfigError):
        configured.load(None)
