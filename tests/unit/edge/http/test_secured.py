"""TLS whose peer sends what it likes: records without content, small ones with it, and handshakes by the dozen."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from relay.edge.http.secured import Turns


async def test_handshakes_take_turns() -> None:
    """A thousand handshakes that come at once would keep everything else waiting for a second."""
    loop = asyncio.get_running_loop()
    turns, done, seen = Turns(loop), [], []

    for number in range(50):
        turns.wait(lambda number=number: done.append(number))  # type: ignore[misc]
    while len(done) < 50:
        seen.append(len(done))
        await asyncio.sleep(0)
    assert done == list(range(50))
    assert max(after - before for before, after in pairwise(seen)) <= 8


async def test_a_step_that_fails_holds_no_other_up() -> None:
    """One handshake with a fault would have been the last."""
    loop = asyncio.get_running_loop()
    failed: list[object] = []
    loop.set_exception_handler(lambda _, context: failed.append(context["exception"]))
    turns, reached = Turns(loop), asyncio.Event()
    error = RuntimeError("a step")

    def fail() -> None:
        raise error

    turns.wait(fail)
    turns.wait(reached.set)
    async with asyncio.timeout(5):
        await reached.wait()
    turns.wait(reached.clear)
    async with asyncio.timeout(5):
        while reached.is_set():
            await asyncio.sleep(0)
    assert failed == [error]
