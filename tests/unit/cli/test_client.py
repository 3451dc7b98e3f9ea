"""Reading a live stream, and telling why there is none. The whole client runs in tests/integration/test_cli.py."""

from __future__ import annotations

import ssl

import pytest

from relay.cli.client import Client, Frame, frames, why


def test_heartbeats_are_not_taken_for_events() -> None:
    """An event would be lost or read twice, or a dead stream taken for a quiet one."""
    lines = [b": hello\n", b"\n", b"id: 7\n", b"event: x\n", b'data: {"a": ": "}\n', b"\n"]
    assert list(frames(lines)) == [None, Frame(7, "x", b'{"a": ": "}')]


def test_an_event_that_was_cut_off_is_not_given_out() -> None:
    """Half an event would be written, and the whole one skipped after the reconnect."""
    assert list(frames([b"id: 7\n", b'data: {"a"'])) == []


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://x", "http://", "http://x?y=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    """A wrong --url would end in an error about something else."""
    with pytest.raises(ValueError, match="must look like"):
        Client(url)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ssl.SSLCertVerificationError(), "certificate"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_the_reason_of_a_failed_exchange_can_be_read(error: Exception, text: str) -> None:
    """The user would not learn why the relay was not reached."""
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed"
    assert text in why(error)
