"""``sd_notify`` against a socket of our own."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from relay.systemd import inherited, notify


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay on a terminal would fail to start."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False


@pytest.mark.parametrize("abstract", [False, True])
def test_the_state_reaches_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    """A unit of Type=notify would be taken for failed and be restarted forever."""
    if abstract and sys.platform != "linux":
        return
    address = f"@relay-test-{os.getpid()}" if abstract else str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert notify("READY=1") is True
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["gone", "x" * 300])
def test_a_systemd_that_does_not_listen_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """A stale variable in the environment would end the relay."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / address))
    assert notify("STOPPING=1") is False


def test_a_systemd_that_is_stuck_does_not_hold_the_relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full socket would block the event loop, and every delivery with it."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        states = [notify("STATUS=" + "x" * 1000) for _ in range(5000)]
    assert states[0] is True
    assert states[-1] is False


def test_sockets_for_another_process_are_not_taken() -> None:
    """A relay that systemd starts by a script would take descriptors that are something else by now."""
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "main", "HOME": "/"}
    assert inherited(frozenset(("main",)), environ) == {}
    assert environ == {"HOME": "/"}
