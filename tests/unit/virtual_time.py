"""An event loop in which an hour of waiting takes no time: its clock jumps to the next timer when nothing else is left
to be done. What runs in the journal's threads runs at once, in this one."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

from relay.journal import reader, writer
from relay.threads import Worker

P = ParamSpec("P")
T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):  # type: ignore[valid-type, misc] # its class depends on the system
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready: list[Any] = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("Nothing will ever happen: everybody waits, and no timer is set.")
        if not ready and timeout:
            self.loop.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; its time begins at 0, and its wall clock with the real one."""

    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop = self
        self._virtual = 0.0
        self._began = time.time_ns() // 1_000_000
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual

    def wall_ms(self) -> int:
        """Epoch milliseconds."""
        return self._began + round(self._virtual * 1000)

    def jump(self, seconds: float) -> None:
        self._virtual += seconds


class AtOnce(Worker):
    """Stands for one of the journal's threads."""

    def __init__(self, name: str) -> None:
        self.busy_since = None

    def end(self) -> None: ...

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def virtually(main: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end in virtual time."""
    threads = [patch.object(module, "Worker", AtOnce) for module in (reader, writer)]
    with threads[0], threads[1], asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def until(condition: Callable[[], Awaitable[bool]], within: float) -> None:
    """Returns when the condition holds; fails after so many virtual seconds."""
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(max(0.05, within / 500))
