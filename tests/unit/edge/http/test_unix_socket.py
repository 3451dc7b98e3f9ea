from __future__ import annotations

import errno
import socket
import stat
from pathlib import Path

import pytest

from relay.edge.http.unix_socket import bind


def test_only_the_owner_and_the_group_may_connect(tmp_path: Path) -> None:
    """Every user of the machine could post what only a proxy may."""
    path = tmp_path / "socket"
    with bind(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    """relay would not start again after a kill."""
    path = tmp_path / "socket"
    bind(path).close()
    assert path.exists()
    with bind(path) as bound:
        bound.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


@pytest.mark.parametrize("full", [False, True])
def test_a_socket_on_which_somebody_listens_is_left_alone(tmp_path: Path, *, full: bool) -> None:
    """A second relay would take the socket from the first, which would go on and get nothing."""
    path = tmp_path / "socket"
    with bind(path) as bound, socket.socket(socket.AF_UNIX) as client:
        bound.listen(0)
        if full:
            client.connect(str(path))
        with pytest.raises(OSError, match="in use") as caught:
            bind(path)
    assert caught.value.errno == errno.EADDRINUSE


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """A wrong path would cost the file that is there."""
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(OSError, match="exists"):
        bind(path)
    assert path.read_text() == "precious"
