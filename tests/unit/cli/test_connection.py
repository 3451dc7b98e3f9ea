"""Which relay is asked, and with which token."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.cli.connection import DEFAULT_URL, configured_address, connect, read_token
from relay.core.errors import RelayError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "relay.yaml"
    path.write_text("server: {host: '::', port: 81, api_tokens: [token-of-the-configuration]}")
    return path


def test_a_listener_on_every_address_is_asked_over_loopback(config: Path) -> None:
    """`relay tail` beside the relay would try to connect to no address at all."""
    address, token = configured_address(config)
    assert (address.parts.geturl(), token) == ("http://[::1]:81", "token-of-the-configuration")


def test_without_configuration_the_default_address_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`relay tail` beside a relay without configuration would need an address."""
    monkeypatch.chdir(tmp_path)
    address, token = configured_address(None)
    assert (address.parts.geturl(), token) == (DEFAULT_URL, None)


def test_the_configured_token_goes_to_the_configured_address_only(config: Path) -> None:
    """Naming another address would hand it this relay's token."""
    assert connect(config, None, None, None)._headers == {"Authorization": "Bearer token-of-the-configuration"}
    assert connect(config, "http://elsewhere.example", None, None)._headers == {}
    assert connect(config, None, "mine", None)._headers == {"Authorization": "Bearer mine"}


def test_a_tokens_file_may_end_in_a_line_break(tmp_path: Path) -> None:
    """The token of a mounted secret would be refused, or break the header."""
    path = tmp_path / "token"
    path.write_text("abc\n")
    assert read_token(path) == "abc"
    assert connect(None, "http://x", None, path)._headers == {"Authorization": "Bearer abc"}


@pytest.mark.parametrize("token", ["two\r\nHost: lines", "", "sp ace", "ü"])
def test_what_cannot_be_a_token_is_refused(token: str) -> None:
    """A stray character would end in a strange answer, or in a forged header."""
    with pytest.raises(RelayError) as refused:
        connect(None, "http://x", token, None)
    assert refused.value.code == "bad_token"


def test_a_port_that_only_the_log_shows_is_not_guessed(tmp_path: Path) -> None:
    """`relay tail` would connect to port 0."""
    path = tmp_path / "relay.yaml"
    path.write_text("server: {port: 0}")
    with pytest.raises(RelayError, match="--url"):
        configured_address(path)
