"""A listening socket's last moments."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import time

import pytest

from relay.edge.http import listener as listener_module
from relay.edge.http.accept_queue import emptied, take_no_more
from tests.unit.edge.http.test_server import listening as listener_of_its_own


def test_who_is_connected_is_found_and_the_rest_is_not_reset() -> None:
    """Senders that connect while a relay ends would have a reset in the middle of their request."""
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    with socket.create_connection(address, timeout=5) as early, socket.socket() as late:
        take_no_more(listening)
        late.setblocking(False)
        assert late.connect_ex(address) == errno.EINPROGRESS
        [found] = emptied(listening, 10)
        with found:
            early.send(b"in time")
            assert found.recv(100) == b"in time"
        if sys.platform == "linux":
            assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0  # it asks again, later


def test_no_more_than_the_limit_is_taken() -> None:
    """A flood of connections would keep a relay from ending."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        clients = [socket.create_connection(listening.getsockname(), timeout=5) for _ in range(3)]
        found = emptied(listening, 2)
        assert len(found) == 2
        for each in (*clients, *found):
            each.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            listening.accept()


async def test_new_peers_are_dropped_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine senders would ask a relay that ends for seconds in vain, instead of asking the next one."""
    loop = asyncio.get_running_loop()
    turns, dropped_since = 0, -1
    going_on = True

    def busy() -> None:
        nonlocal turns
        turns += 1
        time.sleep(0.01)
        if going_on:
            loop.call_soon(busy)

    def noted(listening: socket.socket) -> None:
        nonlocal dropped_since
        dropped_since = turns
        take_no_more(listening)

    monkeypatch.setattr(listener_module, "take_no_more", noted)
    async with listener_of_its_own() as listener:
        loop.call_soon(busy)
        await listener.stop_listening()
        assert dropped_since >= 0
        assert turns - dropped_since <= 3
        going_on = False
