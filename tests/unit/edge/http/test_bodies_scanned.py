"""What is large is read beside the event loop."""

from __future__ import annotations

import threading

import pytest

from relay.core.json_scan import Body
from relay.edge.http.bodies import QUICK, scanned


@pytest.mark.parametrize(("size", "beside"), [(QUICK, False), (QUICK + 1, True)])
async def test_a_large_body_is_read_in_another_thread(size: int, beside: bool) -> None:
    """Every stream and every acknowledgement would wait for one client's body."""

    def read(body: Body, more: int) -> tuple[int, int]:
        return len(body) + more, threading.get_ident()

    found, thread = await scanned(read, b"x" * size, 1)
    assert found == size + 1
    assert (thread != threading.get_ident()) is beside


async def test_a_reader_that_fails_fails_here() -> None:
    """Its request would never be answered."""

    def read(body: Body) -> None:
        raise ValueError(len(body))

    with pytest.raises(ValueError, match="20000"):
        await scanned(read, b"x" * 20_000)
