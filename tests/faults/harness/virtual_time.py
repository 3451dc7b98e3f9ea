"""An event loop whose clock jumps to the next timer instead of waiting, and an executor that works at once.

With both, code that waits for seconds and hands work to a thread runs in microseconds, and the same way each time.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from relay.threads import Worker


class Stuck(Exception):
    """Everybody waits for something that nobody will do."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Time stands still while anything can run. No sockets, no threads, no signals."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def _run_once(self) -> None:
        """One turn, as the base class makes it, less all that is about the world outside."""
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise Stuck
            self._now = max(self._now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()


class Done(Future[Any]):
    """A future that was never anything but done. Without the locks of one that another thread fills."""

    def __init__(self, result: Any, error: BaseException | None) -> None:
        self._outcome, self._error = result, error

    def result(self, timeout: float | None = None) -> Any:
        if self._error is not None:
            raise self._error
        return self._outcome

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return self._error

    def done(self) -> bool:
        return True

    def cancelled(self) -> bool:
        return False

    def cancel(self) -> bool:
        return False

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        fn(self)


class AtOnce(Worker):
    """Does what it is given before ``submit`` returns."""

    def __init__(self, name: str) -> None:
        self.busy_since = None

    def submit(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            return Done(fn(*args, **kwargs), None)
        except Exception as error:
            return Done(None, error)

    def end(self) -> None: ...
